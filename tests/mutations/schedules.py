"""Mutations of schedules: which times fire, and who writes them."""

from __future__ import annotations

from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace

from fleet_q.core import schedules
from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.core.schedules import ScheduleWrite
from fleet_q.core.step_by_step import StepByStep
from fleet_q.core.worker.firing_timer import FiringTimer
from tests.mutations.guards import Mutation, replaced


def _unread(change_schedule: Any) -> Any:
    """Write a schedule whatever its row is now."""

    def mutant(tx: Any, write: ScheduleWrite, by: str | None) -> Any:
        row = tx.schedule(write.after.schedule)
        return change_schedule(tx, replace(write, before=row), by)

    return mutant


SCHEDULES: Final = (
    Mutation(
        "a schedule is written only if it is as it was read",
        replaced(StepByStep, "change_schedule", _unread),
    ),
    Mutation(
        "a time is skipped while the last step has not ended",
        lambda: patch.object(schedules, "FINAL", frozenset(STEP_STATUSES)),
    ),
    Mutation(
        "a step that may not overlap waits for the last one",
        lambda: patch.object(schedules, "parents_json", lambda parents: None),
    ),
    Mutation(
        "times that were missed longer ago than the window do not fire",
        lambda: patch.object(schedules, "ON_TIME", 3_600 * 1_000_000),
    ),
    Mutation(
        "the leader fires what is due",
        replaced(FiringTimer, "due_at", lambda _: lambda timer, phase: float("inf")),
    ),
)
