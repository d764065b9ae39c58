"""The audit finds every kind of broken guarantee and reports none in valid logs."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec import Raw

from fleet_q.core import events as ev
from fleet_q.core.audit import Audit, audit
from fleet_q.core.events import StepEvent, StepFact

SUBMITTED: Final = ev.Submitted(Raw("{}"), 0, 3, 0)
CLAIMED: Final = ev.Claimed("token", "one")
COMPLETED: Final = ev.Completed("token", Raw("1"))
FAILED: Final = ev.Failed("token", "Boom", None)
RETRIED: Final = ev.Retried("token", "Boom", None, 0)
RELEASED: Final = ev.Released("token")
RECOVERED: Final = ev.Recovered("token", "died")
CANCELLED: Final = ev.Cancelled()
REPLAYED: Final = ev.Replayed()


def log(*facts: StepFact, stream: str = "step", first: int = 1) -> list[StepEvent]:
    return [StepEvent(stream, version, 0, "pod", fact) for version, fact in enumerate(facts, first)]


def faults(*facts: StepFact) -> list[str]:
    return audit(log(*facts)).faults


def test_empty_log_has_no_faults() -> None:
    assert audit([]) == Audit()


def test_valid_log_is_counted_by_stream() -> None:
    report = audit(
        [
            *log(SUBMITTED, CLAIMED, RETRIED, CLAIMED, RETRIED, CLAIMED, COMPLETED, stream="a"),
            *log(SUBMITTED, CLAIMED, RECOVERED, CLAIMED, FAILED, stream="b"),
            *log(SUBMITTED, CLAIMED, RELEASED, CLAIMED, CANCELLED, stream="c"),
            *log(SUBMITTED, CLAIMED, FAILED, REPLAYED, CLAIMED, stream="d"),
            *log(SUBMITTED, stream="e"),
            *log(SUBMITTED, CANCELLED, REPLAYED, CLAIMED, COMPLETED, stream="f"),
        ]
    )
    assert report == Audit(
        steps=6,
        completed=2,
        failed=1,
        cancelled=1,
        unfinished=2,
        retried=2,
        recovered=1,
        released=1,
        faults=[],
    )


def test_second_completion_is_a_fault() -> None:
    assert "step: completed 2 times" in faults(SUBMITTED, CLAIMED, COMPLETED, COMPLETED)


def test_claim_of_a_claimed_step_is_a_fault() -> None:
    other = ev.Claimed("other", "two")
    assert "step: claimed at version 3 while already claimed" in faults(SUBMITTED, CLAIMED, other)


@pytest.mark.parametrize(
    "fact", [COMPLETED, FAILED, RETRIED, RELEASED, RECOVERED], ids=lambda fact: fact.type
)
def test_change_under_a_wrong_claim_token_is_a_fault(fact: StepFact) -> None:
    other = ev.Claimed("other", "two")
    assert faults(SUBMITTED, other, fact) == [
        f"step: {fact.type} under another claim token at version 3"
    ]


@pytest.mark.parametrize("claim_end", [RETRIED, RELEASED, RECOVERED, CANCELLED])
def test_change_under_an_earlier_claim_token_is_a_fault(claim_end: StepFact) -> None:
    again = [REPLAYED] if claim_end is CANCELLED else []
    other = ev.Claimed("other", "two")
    found = faults(SUBMITTED, CLAIMED, claim_end, *again, other, COMPLETED)
    assert found == [f"step: completed under another claim token at version {5 + len(again)}"]


def test_completion_of_an_unclaimed_step_is_a_fault() -> None:
    found = faults(SUBMITTED, COMPLETED)
    assert "step: step 'step' is pending and cannot be completed" in found
    assert "step: completed under another claim token at version 2" in found


@pytest.mark.parametrize(
    ("history", "fault"),
    [
        (log(CLAIMED), "must begin with its only submitted event"),
        (log(SUBMITTED, first=2), "must begin with its only submitted event"),
        (log(SUBMITTED, SUBMITTED), "must begin with its only submitted event"),
        (log(SUBMITTED) + log(CLAIMED, first=3), "version 3 follows version 1"),
        (log(SUBMITTED) + log(CLAIMED, first=1), "version 1 follows version 1"),
    ],
    ids=["no submission", "submission at version 2", "two submissions", "gap", "duplicate version"],
)
def test_log_with_a_gap_or_a_wrong_first_event_is_a_fault(
    history: list[StepEvent], fault: str
) -> None:
    (found,) = audit(history).faults
    assert found.endswith(fault)


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ([SUBMITTED, REPLAYED], "step 'step' is pending and cannot be replayed"),
        ([SUBMITTED, CANCELLED, CLAIMED], "step 'step' is cancelled and cannot be claimed"),
        (
            [SUBMITTED, CLAIMED, COMPLETED, CLAIMED],
            "step 'step' is completed and cannot be claimed",
        ),
        (
            [SUBMITTED, CLAIMED, COMPLETED, CANCELLED],
            "step 'step' is completed and cannot be cancell",
        ),
    ],
)
def test_illegal_transition_is_a_fault(facts: list[StepFact], fault: str) -> None:
    (found,) = faults(*facts)
    assert found.startswith(f"step: {fault}")


def test_fault_names_its_step_and_later_steps_are_still_checked() -> None:
    report = audit([*log(CLAIMED, stream="a"), *log(SUBMITTED, stream="b"), *log(FAILED)])
    assert [fault.split(":")[0] for fault in report.faults] == ["a", "step", "step"]
    assert report.steps == 3
