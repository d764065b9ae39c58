"""A step's life: which command leads to which event, and what an event makes of the step."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import asdict, replace

from fleet_q.core import events as ev
from fleet_q.core.errors import (
    CorruptLog,
    FleetQError,
    IllegalTransition,
    StaleClaim,
    StepConflict,
    UnknownStep,
)
from fleet_q.core.events import StepEvent, StepFact
from fleet_q.core.step import (
    AT_ONCE,
    Cancel,
    Claim,
    Complete,
    Fail,
    Recover,
    Release,
    Replay,
    Step,
    StepCommand,
    Submit,
    claim_order,
    decide,
    evolve,
    fold,
    is_due,
)
from tests.core.helpers import AT, LIVES, live

COMMANDS: Final[dict[str, StepCommand]] = {
    "submit": Submit("step", "{}"),
    "claim": Claim("step", "new", "two"),
    "complete": Complete("step", "token", "1"),
    "fail": Fail("step", "token", "Boom"),
    "fail for good": Fail("step", "token", "Boom", permanent=True),
    "release": Release("step", "token"),
    "recover": Recover("step", "token"),
    "cancel": Cancel("step"),
    "replay": Replay("step"),
}

# What each command makes of the step, or does instead; what is not named leaves a StaleClaim.
AFTER: Final[dict[tuple[str, str], object]] = {
    **{(status, "submit"): None for status in LIVES},
    **{(status, "claim"): IllegalTransition for status in LIVES},
    **{(status, "cancel"): IllegalTransition for status in LIVES},
    **{(status, "replay"): IllegalTransition for status in LIVES},
    ("pending", "claim"): "claimed",
    ("pending", "cancel"): "cancelled",
    ("claimed", "complete"): "completed",
    ("claimed", "fail"): "pending",
    ("claimed", "fail for good"): "failed",
    ("claimed", "release"): "pending",
    ("claimed", "recover"): "pending",
    ("claimed", "cancel"): "cancelled",
    ("completed", "complete"): None,
    ("failed", "replay"): "pending",
    ("cancelled", "cancel"): None,
    ("cancelled", "replay"): "pending",
}

HELD: Final = ["complete", "fail", "fail for good", "release", "recover"]


def submitted(**options: Any) -> Step:
    return live(Submit("step", "{}", **options))


def held(**options: Any) -> Step:
    return live(Claim("step", "token", "one"), step=submitted(**options))


def step_after(step: Step, command: StepCommand, at: int = AT) -> Step:
    event = decide(step, command, at, "pod")
    assert event is not None
    return evolve(step, event)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("status", LIVES)
def test_every_command_in_every_status(status: str, name: str) -> None:
    step = live(*LIVES[status])
    assert step.status == status
    expected = AFTER.get((status, name), StaleClaim)
    if isinstance(expected, type):
        with pytest.raises(expected):
            decide(step, COMMANDS[name], AT, "pod")
    elif expected is None:
        assert decide(step, COMMANDS[name], AT, "pod") is None
    else:
        assert step_after(step, COMMANDS[name]).status == expected


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "submit"])
def test_nothing_but_a_submission_begins_a_step(name: str) -> None:
    with pytest.raises(UnknownStep, match="no step has the id 'step'"):
        decide(None, COMMANDS[name], AT)


def test_an_event_says_which_step_when_and_by_whom() -> None:
    event = decide(submitted(), Claim("step", "token", "one"), AT + 7, "pod-7")
    assert event == StepEvent("step", 2, AT + 7, "pod-7", ev.Claimed("token", "one"))


def test_every_field_of_a_submission_that_its_event_has_reaches_the_step() -> None:
    fields = set(Submit.__struct_fields__) & set(ev.Submitted.__struct_fields__)
    assert fields >= {"payload", "priority", "max_retries"}
    usual = Submit("step", "{}")
    given = {
        field: default + 7 if isinstance(default := getattr(usual, field), int) else "[1]"
        for field in fields
    }
    step = asdict(live(replace(usual, **given)))
    assert {field: step[field] for field in fields} == given


def test_a_new_step_is_as_it_was_submitted() -> None:
    command = Submit("step", '{"a":1}', priority=-2, max_retries=5, delay=9)
    event = decide(None, command, AT)
    assert event is not None
    assert evolve(None, event) == Step(
        step_id="step",
        status="pending",
        priority=-2,
        payload='{"a":1}',
        retry_count=0,
        max_retries=5,
        created_ts=AT,
        last_update_ts=AT,
        available_ts=AT + 9,
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [('{"a":1,"b":2}', '{ "b": 2, "a": 1 }'), ('{"a":"é"}', '{"a":"\\u00e9"}')],
)
def test_the_same_payload_in_another_spelling_is_no_conflict(one: str, other: str) -> None:
    assert decide(live(Submit("step", one)), Submit("step", other), AT) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1}', '{"a":2}'),
        ('{"a":1}', '{"a":"1"}'),
        ('{"a":[1,2]}', '{"a":[2,1]}'),
        ('{"a":1}', '{"a":true}'),
        ('{"a":[0]}', '{"a":[false]}'),
        ("{}", '{"a":null}'),
    ],
)
def test_another_payload_under_the_same_id_is_a_conflict(one: str, other: str) -> None:
    with pytest.raises(StepConflict, match="exists with a different payload"):
        decide(live(Submit("step", one)), Submit("step", other), AT)


def test_a_step_cannot_be_claimed_before_its_time() -> None:
    step = submitted(delay=10)
    claim = Claim("step", "token", "one")
    with pytest.raises(IllegalTransition, match="before it is due"):
        decide(step, claim, AT + 9)
    assert decide(step, claim, AT + 10) is not None


def test_a_claimed_step_names_its_holder() -> None:
    step = held()
    assert (step.claimed_by, step.incarnation, step.claim_token) == ("pod", "one", "token")


@pytest.mark.parametrize("name", ["fail", "release", "recover"])
def test_a_pending_step_names_no_holder(name: str) -> None:
    step = step_after(held(), COMMANDS[name])
    assert (step.claimed_by, step.incarnation, step.claim_token) == (None, None, None)


@pytest.mark.parametrize("name", HELD)
def test_a_claim_token_that_is_not_the_steps_changes_nothing(name: str) -> None:
    command = replace(COMMANDS[name], claim_token="older")
    with pytest.raises(StaleClaim):
        decide(held(), command, AT)
    with pytest.raises(StaleClaim):
        decide(live(*LIVES["completed"]), command, AT)


@pytest.mark.parametrize("name", HELD)
def test_the_token_of_a_claim_that_was_given_back_is_stale(name: str) -> None:
    step = live(Release("step", "token"), Claim("step", "new", "two"), step=held())
    with pytest.raises(StaleClaim):
        decide(step, COMMANDS[name], AT)


def test_completing_keeps_the_result_and_forgets_earlier_errors() -> None:
    step = live(
        Fail("step", "token", "Boom", "Traceback"),
        Claim("step", "new", "one"),
        Complete("step", "new", '{"a":1}'),
        step=held(),
    )
    assert (step.result, step.error, step.traceback) == ('{"a":1}', None, None)
    assert (step.retry_count, step.claim_token) == (1, "new")


def test_a_failed_attempt_is_tried_again_after_its_delay() -> None:
    step = step_after(held(), Fail("step", "token", "Boom", "Traceback", retry_delay=5))
    assert (step.status, step.retry_count, step.available_ts) == ("pending", 1, AT + 5)
    assert (step.error, step.traceback) == ("Boom", "Traceback")


def test_a_permanent_failure_ends_the_step_with_tries_left() -> None:
    step = step_after(held(), Fail("step", "token", "Boom", "Traceback", permanent=True))
    assert (step.status, step.retry_count) == ("failed", 0)
    assert (step.error, step.traceback, step.claim_token) == ("Boom", "Traceback", "token")


@pytest.mark.parametrize("command", [Fail("step", "token", "Boom"), Recover("step", "token")])
@given(max_retries=st.integers(0, 5))
def test_a_step_is_attempted_once_more_than_it_may_be_retried(
    command: StepCommand, max_retries: int
) -> None:
    step, attempts = submitted(max_retries=max_retries), 0
    while step.status == "pending":
        attempts += 1
        assert step.attempt == attempts
        step = live(Claim("step", "token", "one"), command, step=step)
    assert step.status == "failed"
    assert attempts == max_retries + 1


def test_a_release_uses_up_no_try_and_asks_for_no_delay() -> None:
    step = step_after(held(max_retries=0), Release("step", "token"), AT + 3)
    assert (step.status, step.retry_count, step.available_ts) == ("pending", 0, AT_ONCE)


def test_an_orphan_is_given_back_at_once_and_says_what_happened() -> None:
    step = step_after(held(), Recover("step", "token"), AT + 3)
    assert (step.status, step.retry_count, step.available_ts) == ("pending", 1, AT_ONCE)
    assert (step.error, step.traceback) == ("pod pod died while it held the step", None)


def test_an_orphan_without_tries_left_fails_with_the_same_words() -> None:
    step = step_after(held(max_retries=0), Recover("step", "token"))
    assert (step.status, step.error) == ("failed", "pod pod died while it held the step")


def test_a_replay_gives_all_tries_again_now() -> None:
    step = live(Fail("step", "token", "Boom", permanent=True), step=held(delay=0))
    replayed = step_after(step, Replay("step"), AT + 9)
    assert (replayed.status, replayed.retry_count) == ("pending", 0)
    assert replayed.available_ts == AT_ONCE
    assert replayed.claim_token is None
    assert replayed.error == "Boom"


def test_every_event_is_stamped_on_the_step() -> None:
    step = held()
    after = step_after(step, Cancel("step"), AT + 4)
    assert (after.version, after.last_update_ts) == (step.version + 1, AT + 4)
    assert after.created_ts == step.created_ts


def test_the_queue_is_by_priority_then_age_then_id() -> None:
    order = [
        replace(submitted(), step_id=step_id, priority=priority, created_ts=created)
        for step_id, priority, created in [("z", 2, 9), ("y", 1, 3), ("a", 1, 4), ("b", 1, 4)]
    ]
    shuffled = [order[2], order[0], order[3], order[1]]
    assert sorted(shuffled, key=claim_order) == order


FIRST: Final = StepEvent("step", 1, AT, None, ev.Submitted(Raw("{}"), 0, 3, AT))
CLAIMED: Final = StepEvent("step", 2, AT, "pod", ev.Claimed("token", "one"))


@pytest.mark.parametrize(
    "history",
    [
        [CLAIMED],
        [replace(FIRST, version=2)],
        [FIRST, FIRST],
        [FIRST, replace(FIRST, version=2)],
        [FIRST, replace(CLAIMED, version=3)],
        [FIRST, replace(CLAIMED, version=1)],
        [FIRST, CLAIMED, CLAIMED],
    ],
)
def test_a_log_with_a_gap_or_a_wrong_beginning_does_not_fold(history: list[StepEvent]) -> None:
    with pytest.raises(CorruptLog, match="step 'step'"):
        fold(history)


def test_an_event_that_the_lifecycle_forbids_does_not_fold() -> None:
    with pytest.raises((CorruptLog, IllegalTransition)):
        fold([FIRST, StepEvent("step", 2, AT, "pod", ev.Completed("token", Raw("1")))])


def test_no_history_is_no_step() -> None:
    assert fold([]) is None


tokens = st.sampled_from(["a", "b"])
texts = st.text(max_size=5)
commands = st.one_of(
    st.builds(Submit, st.just("step"), st.sampled_from(["{}", '{"a":1}']), delay=st.integers(0, 3)),
    st.builds(Claim, st.just("step"), tokens, tokens),
    st.builds(Complete, st.just("step"), tokens, st.just("1")),
    st.builds(Fail, st.just("step"), tokens, texts, st.none() | texts, st.booleans()),
    st.builds(Release, st.just("step"), tokens),
    st.builds(Recover, st.just("step"), tokens),
    st.just(Cancel("step")),
    st.just(Replay("step")),
)


@given(st.lists(commands, max_size=30), st.integers(0, 2))
def test_whatever_is_asked_of_a_step_is_refused_or_becomes_its_next_event(
    asked: list[StepCommand], max_retries: int
) -> None:
    log: list[StepEvent] = []
    step: Step | None = None
    for at, command in enumerate([Submit("step", "{}", max_retries=max_retries), *asked]):
        try:
            event = decide(step, command, at, "pod")
        except FleetQError:
            continue
        if event is None:
            continue
        before, step = step, evolve(step, event)
        log.append(event)
        assert step.version == event.version == len(log)
        assert step.retry_count <= max_retries
        assert (step.claim_token is None) >= (step.status == "pending")
        if before is not None:
            assert step.payload == before.payload
        if isinstance(command, Submit | Complete | Cancel):
            assert decide(step, command, at, "pod") is None
    assert fold(log) == step


numbers = st.integers(-(2**53), 2**53)
words = st.text()
facts = st.one_of(
    st.builds(ev.Submitted, st.builds(Raw, st.just('{"a": [1, null]}')), numbers, numbers, numbers),
    st.builds(ev.Claimed, words, words),
    st.builds(ev.Completed, words, st.builds(Raw, st.sampled_from(["null", '"x"', "[1]"]))),
    st.builds(ev.Retried, words, words, st.none() | words, numbers),
    st.builds(ev.Released, words),
    st.builds(ev.Recovered, words, words),
    st.builds(ev.Failed, words, words, st.none() | words),
    st.just(ev.Cancelled()),
    st.just(ev.Replayed()),
)


@given(facts)
def test_a_fact_is_read_back_as_it_was_written(fact: StepFact) -> None:
    again = msgspec.json.decode(msgspec.json.encode(fact), type=StepFact)
    assert type(again) is type(fact)
    assert _plain(again) == _plain(fact)


def _plain(fact: StepFact) -> dict[str, object]:
    return {name: bytes(v) if isinstance(v, Raw) else v for name, v in asdict(fact).items()}


@pytest.mark.parametrize("fact", [ev.Released("token"), ev.Recovered("token", "died")])
def test_a_log_without_the_time_of_a_return_keeps_the_time_that_the_step_had(
    fact: ev.Released | ev.Recovered,
) -> None:
    """As earlier versions wrote it."""
    step = replace(held(), available_ts=AT - 5)
    event = StepEvent("step", step.version + 1, AT + 9, "pod", fact)
    assert evolve(step, event).available_ts == step.available_ts == AT - 5


def test_a_log_without_the_time_of_a_replay_has_that_of_its_event() -> None:
    step = live(Fail("step", "token", "Boom", permanent=True), step=held())
    event = StepEvent("step", step.version + 1, AT + 9, None, ev.Replayed())
    assert evolve(step, event).available_ts == AT + 9


HOUR = 3_600_000_000


@pytest.mark.parametrize("at", [0, AT - HOUR, AT, AT + HOUR])
def test_a_step_without_a_delay_is_due_whatever_the_clock_says(at: int) -> None:
    submitted = live(Submit("step", "{}"))
    assert is_due(submitted, at)
    assert is_due(replace(submitted, available_ts=AT), at), "as earlier versions stored it"
    assert is_due(live(Release("step", "token"), step=held(), at=AT + 1), at)


def test_a_delay_is_waited_for_and_a_backoff_until_the_clock_is_set_back() -> None:
    delayed = live(Submit("step", "{}", delay=HOUR))
    retried = live(Fail("step", "token", "Boom", retry_delay=HOUR), step=held())
    assert [is_due(delayed, at) for at in (AT - 1, AT, AT + HOUR - 1, AT + HOUR)] == [
        False, False, False, True,
    ]  # fmt: skip
    assert [is_due(retried, at) for at in (AT - 1, AT, AT + HOUR - 1, AT + HOUR)] == [
        True, False, False, True,
    ]  # fmt: skip
