"""Steps: which event each command causes, and how each event changes the step."""

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
    AddParents,
    Cancel,
    Claim,
    Complete,
    Fail,
    MakeReady,
    Recover,
    Release,
    Replay,
    Restore,
    SaveCheckpoint,
    Snooze,
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
    "fail permanently": Fail("step", "token", "Boom", permanent=True),
    "release": Release("step", "token"),
    "snooze": Snooze("step", "token", retry_delay=9),
    "save a checkpoint": SaveCheckpoint("step", "token", "[1]", 2),
    "recover": Recover("step", "token"),
    "cancel": Cancel("step"),
    "replay": Replay("step"),
    "restore": Restore("step"),
    "make ready": MakeReady("step"),
    "add parents": AddParents("step", '{"parent":"success","other":"finished"}'),
}

# The status after each command, ``None`` if nothing changes, or the error. Default: StaleClaim.
AFTER: Final[dict[tuple[str, str], object]] = {
    **{(status, "submit"): None for status in LIVES},
    **{(status, "claim"): IllegalTransition for status in LIVES},
    **{(status, "cancel"): IllegalTransition for status in LIVES},
    **{(status, "replay"): IllegalTransition for status in LIVES},
    **{(status, "restore"): IllegalTransition for status in LIVES},
    **{(status, "make ready"): IllegalTransition for status in LIVES},
    **{(status, "add parents"): IllegalTransition for status in LIVES},
    ("pending", "claim"): "claimed",
    ("pending", "cancel"): "cancelled",
    ("claimed", "complete"): "completed",
    ("claimed", "fail"): "pending",
    ("claimed", "fail permanently"): "failed",
    ("claimed", "release"): "pending",
    ("claimed", "recover"): "pending",
    ("claimed", "cancel"): "cancelled",
    ("claimed", "snooze"): "pending",
    ("claimed", "save a checkpoint"): "claimed",
    ("waiting", "submit"): StepConflict,
    ("waiting", "cancel"): "cancelled",
    ("waiting", "make ready"): "pending",
    ("waiting", "add parents"): "waiting",
    ("completed", "complete"): None,
    ("failed", "replay"): "pending",
    ("failed", "restore"): "waiting",
    ("cancelled", "restore"): "waiting",
    ("cancelled", "cancel"): None,
    ("cancelled", "replay"): "pending",
}

CLAIM_COMMANDS: Final = [
    "complete",
    "fail",
    "fail permanently",
    "release",
    "snooze",
    "save a checkpoint",
    "recover",
]


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
def test_every_command_in_every_status_has_the_expected_effect(status: str, name: str) -> None:
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
def test_commands_other_than_submit_raise_unknown_step_without_a_step(name: str) -> None:
    with pytest.raises(UnknownStep, match="no step has the id 'step'"):
        decide(None, COMMANDS[name], AT)


def test_event_contains_step_version_time_and_acting_pod() -> None:
    event = decide(submitted(), Claim("step", "token", "one"), AT + 7, "pod-7")
    assert event == StepEvent("step", 2, AT + 7, "pod-7", ev.Claimed("token", "one"))


def test_every_field_of_a_submission_event_is_set_on_the_step() -> None:
    fields = set(Submit.__struct_fields__) & set(ev.Submitted.__struct_fields__)
    assert fields >= {"payload", "priority", "max_retries", "queue", "task_type", "key", "timeout"}
    defaults = Submit("step", "{}")
    values = {
        field: default + 7 if isinstance(default := getattr(defaults, field), int) else "[1]"
        for field in fields
    }
    step = asdict(live(replace(defaults, **values)))
    assert {field: step[field] for field in fields} == values


def test_new_step_has_the_submitted_values() -> None:
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


def test_unique_key_is_taken_from_the_submission_on() -> None:
    assert submitted(unique_key="k", unique_for=7).unique_until_ts == AT + 7
    assert submitted(unique_key="k").unique_until_ts is None


def test_replaced_step_has_the_later_payload_type_priority_time_and_labels() -> None:
    step = submitted(priority=1, key="c7", queue="gpu", timeout=9, labels='{"day":"1"}')
    fact = ev.Replaced(Raw(b'{"n":2}'), 5, AT + 60, "resize", None)
    replaced = evolve(step, StepEvent("step", 2, AT + 1, None, fact))
    assert replaced == replace(
        step,
        payload='{"n":2}',
        priority=5,
        available_ts=AT + 60,
        task_type="resize",
        labels=None,
        version=2,
        last_update_ts=AT + 1,
    )


def test_replaced_step_has_no_checkpoint() -> None:
    saved = step_after(held(), SaveCheckpoint("step", "token", "[1]", 2))
    released = step_after(saved, Release("step", "token"))
    fact = ev.Replaced(Raw(b'{"n":2}'), 5, AT, "", None)
    assert evolve(released, StepEvent("step", 5, AT + 1, None, fact)).checkpoint is None


def test_reprioritized_step_has_only_another_priority() -> None:
    step = submitted(priority=1, delay=10)
    event = StepEvent("step", 2, AT + 1, None, ev.Reprioritized(-3))
    assert evolve(step, event) == replace(step, priority=-3, version=2, last_update_ts=AT + 1)


def test_step_with_parents_waits_until_it_is_ready() -> None:
    step = submitted(parents='{"a":"success"}', delay=9)
    assert (step.status, step.parents) == ("waiting", '{"a":"success"}')
    more = step_after(step, AddParents("step", '{"a":"success","b":"finished"}'))
    assert (more.status, more.parents) == ("waiting", '{"a":"success","b":"finished"}')
    assert decide(more, Submit("step", "{}", parents='{"a":"success"}'), AT) is None
    ready = step_after(more, MakeReady("step"))
    assert (ready.status, ready.available_ts, ready.parents) == ("pending", AT + 9, more.parents)


def test_cancelled_step_has_the_reason_if_there_is_one() -> None:
    step = step_after(held(), Fail("step", "token", "Boom"))
    assert step_after(step, Cancel("step")).error == "Boom"
    assert step_after(step, Cancel("step", "parent 'a' failed")).error == "parent 'a' failed"


def test_snoozed_step_is_due_later_and_keeps_its_tries() -> None:
    snoozed = step_after(held(), Snooze("step", "token", retry_delay=60))
    assert (snoozed.status, snoozed.retry_count, snoozed.snoozes) == ("pending", 0, 1)
    assert not is_due(snoozed, AT + 59)
    assert is_due(snoozed, AT + 60)
    assert step_after(step_after(snoozed, Cancel("step")), Replay("step")).snoozes == 0


def test_checkpoint_is_kept_by_retries_and_replays() -> None:
    saved = step_after(held(), SaveCheckpoint("step", "token", "[1]", 2))
    failed = step_after(saved, Fail("step", "token", "Boom", permanent=True))
    assert step_after(failed, Replay("step")).checkpoint == "[1]"
    assert step_after(failed, Restore("step")).checkpoint == "[1]"


def test_repeated_save_of_a_checkpoint_causes_no_event() -> None:
    save = SaveCheckpoint("step", "token", "[1]", 2)
    assert decide(step_after(held(), save), save, AT) is None


@pytest.mark.parametrize("version", [1, 2, 4])
def test_save_of_a_checkpoint_on_another_version_is_stale(version: int) -> None:
    saved = step_after(held(), SaveCheckpoint("step", "token", "[1]", 2))
    with pytest.raises(StaleClaim):
        decide(saved, SaveCheckpoint("step", "token", "[2]", version), AT)


def test_start_by_counts_from_the_submission() -> None:
    assert submitted(start_by=7).start_by_ts == AT + 7
    assert submitted().start_by_ts is None


def test_delay_of_a_submission_is_waited_for_after_a_change_of_priority() -> None:
    step = submitted(delay=10)
    changed = evolve(step, StepEvent("step", 2, AT + 5, None, ev.Reprioritized(1)))
    assert not is_due(changed, AT)
    assert is_due(changed, AT + 10)


@pytest.mark.parametrize(
    ("one", "other"),
    [('{"a":1,"b":2}', '{ "b": 2, "a": 1 }'), ('{"a":"é"}', '{"a":"\\u00e9"}')],
)
def test_equal_payload_with_different_json_text_is_no_conflict(one: str, other: str) -> None:
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
def test_different_payload_under_the_same_id_is_a_conflict(one: str, other: str) -> None:
    with pytest.raises(StepConflict, match="exists with a different payload"):
        decide(live(Submit("step", one)), Submit("step", other), AT)


def test_step_cannot_be_claimed_before_it_is_due() -> None:
    step = submitted(delay=10)
    claim = Claim("step", "token", "one")
    with pytest.raises(IllegalTransition, match="before it is due"):
        decide(step, claim, AT + 9)
    assert decide(step, claim, AT + 10) is not None


def test_claimed_step_contains_pod_incarnation_and_claim_token() -> None:
    step = held()
    assert (step.claimed_by, step.incarnation, step.claim_token) == ("pod", "one", "token")


@pytest.mark.parametrize("name", ["fail", "release", "recover"])
def test_pending_step_has_no_claim(name: str) -> None:
    step = step_after(held(), COMMANDS[name])
    assert (step.claimed_by, step.incarnation, step.claim_token) == (None, None, None)


@pytest.mark.parametrize("name", CLAIM_COMMANDS)
def test_wrong_claim_token_raises_stale_claim(name: str) -> None:
    command = replace(COMMANDS[name], claim_token="older")
    with pytest.raises(StaleClaim):
        decide(held(), command, AT)
    with pytest.raises(StaleClaim):
        decide(live(*LIVES["completed"]), command, AT)


@pytest.mark.parametrize("name", CLAIM_COMMANDS)
def test_claim_token_of_a_released_claim_is_stale(name: str) -> None:
    step = live(Release("step", "token"), Claim("step", "new", "two"), step=held())
    with pytest.raises(StaleClaim):
        decide(step, COMMANDS[name], AT)


def test_completion_stores_the_result_and_clears_earlier_errors() -> None:
    step = live(
        Fail("step", "token", "Boom", "Traceback"),
        Claim("step", "new", "one"),
        Complete("step", "new", '{"a":1}'),
        step=held(),
    )
    assert (step.result, step.error, step.traceback) == ('{"a":1}', None, None)
    assert (step.retry_count, step.claim_token) == (1, "new")


def test_failed_attempt_is_retried_after_its_delay() -> None:
    step = step_after(held(), Fail("step", "token", "Boom", "Traceback", retry_delay=5))
    assert (step.status, step.retry_count, step.available_ts) == ("pending", 1, AT + 5)
    assert (step.error, step.traceback) == ("Boom", "Traceback")


def test_permanent_failure_fails_a_step_with_tries_left() -> None:
    step = step_after(held(), Fail("step", "token", "Boom", "Traceback", permanent=True))
    assert (step.status, step.retry_count) == ("failed", 0)
    assert (step.error, step.traceback, step.claim_token) == ("Boom", "Traceback", "token")


@pytest.mark.parametrize("command", [Fail("step", "token", "Boom"), Recover("step", "token")])
@given(max_retries=st.integers(0, 5))
def test_step_has_max_retries_plus_one_attempts(command: StepCommand, max_retries: int) -> None:
    step, attempts = submitted(max_retries=max_retries), 0
    while step.status == "pending":
        attempts += 1
        assert step.attempt == attempts
        step = live(Claim("step", "token", "one"), command, step=step)
    assert step.status == "failed"
    assert attempts == max_retries + 1


def test_release_uses_no_try_and_has_no_delay() -> None:
    step = step_after(held(max_retries=0), Release("step", "token"), AT + 3)
    assert (step.status, step.retry_count, step.available_ts) == ("pending", 0, AT_ONCE)


def test_recovered_step_is_pending_at_once_with_the_error_of_its_dead_pod() -> None:
    step = step_after(held(), Recover("step", "token"), AT + 3)
    assert (step.status, step.retry_count, step.available_ts) == ("pending", 1, AT_ONCE)
    assert (step.error, step.traceback) == ("pod pod died while it held the step", None)


def test_orphan_without_tries_left_fails_with_the_same_error() -> None:
    step = step_after(held(max_retries=0), Recover("step", "token"))
    assert (step.status, step.error) == ("failed", "pod pod died while it held the step")


def test_replayed_step_is_pending_at_once_with_all_tries() -> None:
    step = live(Fail("step", "token", "Boom", permanent=True), step=held(delay=0))
    replayed = step_after(step, Replay("step"), AT + 9)
    assert (replayed.status, replayed.retry_count) == ("pending", 0)
    assert replayed.available_ts == AT_ONCE
    assert replayed.claim_token is None
    assert replayed.error == "Boom"


def test_every_event_sets_version_and_update_time_of_the_step() -> None:
    step = held()
    after = step_after(step, Cancel("step"), AT + 4)
    assert (after.version, after.last_update_ts) == (step.version + 1, AT + 4)
    assert after.created_ts == step.created_ts


def test_queue_is_ordered_by_priority_then_age_then_id() -> None:
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
def test_log_with_a_gap_or_a_wrong_first_event_is_corrupt(history: list[StepEvent]) -> None:
    with pytest.raises(CorruptLog, match="step 'step'"):
        fold(history)


def test_folding_an_illegal_event_raises() -> None:
    with pytest.raises((CorruptLog, IllegalTransition)):
        fold([FIRST, StepEvent("step", 2, AT, "pod", ev.Completed("token", Raw("1")))])


def test_empty_history_folds_to_no_step() -> None:
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
def test_every_command_sequence_yields_a_log_that_folds_to_the_step(
    issued: list[StepCommand], max_retries: int
) -> None:
    log: list[StepEvent] = []
    step: Step | None = None
    for at, command in enumerate([Submit("step", "{}", max_retries=max_retries), *issued]):
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
def test_fact_survives_encoding_as_json(fact: StepFact) -> None:
    decoded = msgspec.json.decode(msgspec.json.encode(fact), type=StepFact)
    assert type(decoded) is type(fact)
    assert _plain(decoded) == _plain(fact)


def _plain(fact: StepFact) -> dict[str, object]:
    return {name: bytes(v) if isinstance(v, Raw) else v for name, v in asdict(fact).items()}


@pytest.mark.parametrize("fact", [ev.Released("token"), ev.Recovered("token", "died")])
def test_old_released_and_recovered_events_keep_the_available_time(
    fact: ev.Released | ev.Recovered,
) -> None:
    """Earlier versions wrote these events without ``available_ts``."""
    step = replace(held(), available_ts=AT - 5)
    event = StepEvent("step", step.version + 1, AT + 9, "pod", fact)
    assert evolve(step, event).available_ts == step.available_ts == AT - 5


def test_old_replayed_event_makes_the_step_available_at_its_own_time() -> None:
    step = live(Fail("step", "token", "Boom", permanent=True), step=held())
    event = StepEvent("step", step.version + 1, AT + 9, None, ev.Replayed())
    assert evolve(step, event).available_ts == AT + 9


HOUR = 3_600_000_000


@pytest.mark.parametrize("at", [0, AT - HOUR, AT, AT + HOUR])
def test_step_without_a_delay_is_due_at_any_clock_time(at: int) -> None:
    submitted = live(Submit("step", "{}"))
    assert is_due(submitted, at)
    assert is_due(replace(submitted, available_ts=AT), at), "as earlier versions stored it"
    assert is_due(live(Release("step", "token"), step=held(), at=AT + 1), at)


def test_retry_delay_but_not_submission_delay_ends_when_the_clock_is_set_back() -> None:
    delayed = live(Submit("step", "{}", delay=HOUR))
    retried = live(Fail("step", "token", "Boom", retry_delay=HOUR), step=held())
    assert [is_due(delayed, at) for at in (AT - 1, AT, AT + HOUR - 1, AT + HOUR)] == [
        False, False, False, True,
    ]  # fmt: skip
    assert [is_due(retried, at) for at in (AT - 1, AT, AT + HOUR - 1, AT + HOUR)] == [
        True, False, False, True,
    ]  # fmt: skip
