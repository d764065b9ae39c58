"""The checks of unique keys and of the inbox can fail, too."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec import Raw

from fleet_q.core import events as ev
from fleet_q.core import step as steps
from fleet_q.core.calls import StoreCall
from fleet_q.core.events import Event
from fleet_q.core.inbox import InboxRow
from fleet_q.core.ports import SubmitResult
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.payloads import payload_of
from fleet_q.services.simulation.recording import StepChange, TakenIn
from fleet_q.services.simulation.safety_checks import SafetyChecks
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.violation import Violation

WORK = {
    work.step_id: work
    for work in (
        Work(step_id="a", unique_key="key", unique_for=20e-6),
        Work(step_id="b", unique_key="key"),
        Work(step_id="replacing", unique_key="key", on_conflict="replace", priority=7),
        Work(step_id="refused", unique_key="key", on_conflict="error"),
        Work(step_id="other", unique_key="another key"),
        Work(step_id="plain"),
        Work(step_id="next"),
        Work(step_id="invalid", is_valid=False),
    )
}
LETTER = Raw(b'{"step_inbox": {"row_id": 1}}')


class History:
    """Commits events of steps, and has them checked."""

    def __init__(self) -> None:
        self.now = 10
        self.checks = SafetyChecks(WORK, 60, lambda: self.now, lambda actor, since: 0)
        self.steps: dict[str, steps.Step] = {}
        self.rows = 0

    def commit(self, *facts: tuple[str, ev.StepFact], taken_in: str = "") -> None:
        """Commit events, each with its step, and the deletion of rows with these ids."""
        changes: list[StepChange] = []
        for step_id, fact in facts:
            before = self.steps.get(step_id)
            event: Any = Event(step_id, before.version + 1 if before else 1, self.now, None, fact)
            self.steps[step_id] = steps.evolve(before, event)
            changes.append((event, self.steps[step_id]))
        rows = [
            TakenIn(
                InboxRow(row_id=n, step_id=step_id, unique_key=WORK[step_id].unique_key), self.now
            )
            for n, step_id in enumerate(taken_in.split(), start=1)
        ]
        client = cast("Actor", None)
        self.checks.committed(client, StoreCall("sync"), None, changes, [], (), rows)

    def insert(self, step_ids: str) -> None:
        rows = [{"step_id": step_id} for step_id in step_ids.split()]
        call = StoreCall("insert", (rows,))
        self.checks.committed(cast("Actor", None), call, None, [], [])


@pytest.fixture
def history() -> History:
    return History()


def submitted(step_id: str, payload: Raw | None = None) -> tuple[str, ev.StepFact]:
    work = WORK.get(step_id)
    if payload is None and work is not None:
        payload = Raw(payload_of(work).encode())
    assert payload is not None
    return step_id, ev.Submitted(payload, work.priority if work else 0, 3, 0)


def replaced(step_id: str, by: str) -> tuple[str, ev.StepFact]:
    payload = Raw(payload_of(WORK[by]).encode())
    return step_id, ev.Replaced(payload, WORK[by].priority, 0, "", None)


def violation_of(promise: str) -> Any:
    return pytest.raises(Violation, match=f"^{promise}: ")


def test_second_active_step_of_a_unique_key_is_detected(history: History) -> None:
    history.commit(submitted("a"), submitted("other"), submitted("plain"))
    with violation_of("unique keys"):
        history.commit(submitted("b"))


def test_unique_key_is_free_when_its_step_is_final_and_its_time_is_over(history: History) -> None:
    history.commit(submitted("a"))
    history.commit(("a", ev.Cancelled()))
    history.now = 30
    history.commit(submitted("b"))


def test_submission_before_time_of_unique_key_is_over_is_detected(history: History) -> None:
    history.commit(submitted("a"))
    history.commit(("a", ev.Cancelled()))
    history.now = 29
    with violation_of("unique keys"):
        history.commit(submitted("b"))


def test_replayed_step_may_be_the_second_one_of_its_key(history: History) -> None:
    history.commit(submitted("b"))
    history.commit(("b", ev.Cancelled()))
    history.commit(submitted("a"))
    history.commit(("b", ev.Replayed(0)))
    assert history.checks.unfinished == 2


def test_replacement_by_submission_that_does_not_ask_for_it_is_detected(history: History) -> None:
    history.commit(submitted("a"))
    history.commit(replaced("a", "replacing"))
    with violation_of("unique keys"):
        history.commit(replaced("a", "b"))


@pytest.mark.parametrize("name", ["other", "plain", "refused"])
def test_answer_with_step_that_does_not_stand_for_it_is_detected(
    history: History, name: str
) -> None:
    history.commit(submitted("a"), submitted("other"), submitted("plain"))
    history.checks.unique_keys.answered(WORK["b"], SubmitResult("a", is_new=False))
    by = SubmitResult("a" if name == "refused" else name, is_new=False)
    with violation_of("unique keys"):
        history.checks.unique_keys.answered(WORK["refused" if name == "refused" else "b"], by)


def test_rows_may_become_steps_dead_letters_and_replacements(history: History) -> None:
    history.insert("invalid a b replacing plain")
    history.commit(
        submitted("a"),
        replaced("a", "replacing"),
        submitted("plain"),
        submitted("letter", LETTER),
        ("letter", ev.Rejected("no row")),
        taken_in="invalid a b replacing plain",
    )
    assert history.checks.inbox.waiting == []
    assert history.checks.unfinished == 2


def test_row_that_is_deleted_without_step_is_detected(history: History) -> None:
    history.insert("plain")
    with violation_of("inbox"):
        history.commit(taken_in="plain")


def test_row_that_stays_after_it_was_taken_in_is_detected(history: History) -> None:
    history.insert("plain")
    with violation_of("inbox"):
        history.commit(submitted("plain"))


@pytest.mark.parametrize("taken_in", ["next", "next plain"])
def test_row_that_is_taken_in_before_an_earlier_one_is_detected(
    history: History, taken_in: str
) -> None:
    history.insert("plain next")
    with violation_of("inbox"):
        history.commit(*map(submitted, taken_in.split()), taken_in=taken_in)


def test_steps_in_another_order_than_their_rows_are_detected(history: History) -> None:
    history.insert("plain next")
    with violation_of("inbox"):
        history.commit(submitted("next"), submitted("plain"), taken_in="plain next")


def test_row_that_is_taken_in_twice_is_detected(history: History) -> None:
    history.insert("plain next")
    history.commit(submitted("plain"), taken_in="plain")
    with violation_of("inbox"):
        history.commit(submitted("next"), taken_in="plain")


def test_invalid_row_that_becomes_a_step_is_detected(history: History) -> None:
    history.insert("invalid")
    with violation_of("inbox"):
        history.commit(submitted("invalid"), submitted("letter", LETTER), taken_in="invalid")


def test_dead_letter_of_valid_row_is_detected(history: History) -> None:
    history.insert("plain")
    with violation_of("inbox"):
        history.commit(submitted("letter", LETTER), taken_in="plain")


def test_refused_row_without_dead_letter_is_detected(history: History) -> None:
    history.commit(submitted("a"))
    history.insert("refused")
    with violation_of("inbox"):
        history.commit(taken_in="refused")


def test_row_that_does_not_replace_the_pending_step_is_detected(history: History) -> None:
    history.commit(submitted("a"))
    history.insert("replacing")
    with violation_of("inbox"):
        history.commit(taken_in="replacing")


def test_row_that_no_sync_takes_in_is_known(history: History) -> None:
    history.insert("plain")
    assert history.checks.inbox.waiting == ["plain"]
