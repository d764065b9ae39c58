"""Mutations of steps that are put off, or must begin by some time."""

from __future__ import annotations

from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace

from fleet_q.adapters import memory
from fleet_q.adapters.memory import MemoryTransaction
from fleet_q.core import events as ev
from fleet_q.core import step
from fleet_q.core.lifecycle import STEP
from fleet_q.core.retry import RetryPolicy
from fleet_q.services.simulation import functions
from tests.mutations.guards import Mutation, replaced, together


def _uses_a_try() -> Any:
    evolve = step.evolve

    def mutant(before: Any, event: Any) -> Any:
        after = evolve(before, event)
        is_snoozed = isinstance(event.fact, ev.Snoozed)
        return replace(after, retry_count=after.retry_count + 1) if is_snoozed else after

    return patch.object(step, "evolve", mutant)


def _without_bound(snooze: Any) -> Any:
    return lambda policy, row, *rest: snooze(policy, replace(row, snoozes=-1), *rest)


def _never(_: Any) -> Any:
    return lambda row, at: False


LATER: Final = (
    Mutation("a snooze uses up no try", _uses_a_try),
    Mutation(
        "a snoozed step is pending again",
        lambda: patch.dict(STEP._after, {("claimed", "snoozed"): "claimed"}),
    ),
    Mutation(
        "a step is put off no more often than the setting says",
        replaced(RetryPolicy, "snooze", _without_bound),
    ),
    Mutation(
        "no step is claimed after it has expired",
        together(
            replaced(MemoryTransaction, "expired", lambda _: lambda tx, limit: []),
            replaced(step, "is_expired", _never),
        ),
    ),
    Mutation(
        "a step that has begun does not expire",
        replaced(
            memory, "is_expired", lambda _: lambda row, at: row.status in ("pending", "waiting")
        ),
    ),
    Mutation(
        "no step begins after it has expired",
        replaced(functions, "must_begin_by", lambda _: lambda row: None),
    ),
)
