"""Mutations of steps: claim tokens, the order of claims, tries and final statuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace

from fleet_q.adapters import memory
from fleet_q.core import events as ev
from fleet_q.core import step
from fleet_q.core.lifecycle import STEP
from fleet_q.core.step import Claim, Recover, Step
from tests.mutations.guards import (
    Mutation,
    Patch,
    allowed,
    replaced,
    together,
)


def _decide(command: type, change: Callable[[Step], Step]) -> Patch:
    """Decide about commands of this type as if the step were ``change(step)``."""
    decide = step.decide

    def mutant(row: Any, asked: Any, at: int, pod_id: str | None = None) -> Any:
        if isinstance(asked, command) and row is not None:
            row = change(row)
        return decide(row, asked, at, pod_id)

    return lambda: patch.object(step, "decide", mutant)


def _evolve(fact: type, change: Callable[[Step, Step], Step]) -> Patch:
    """Make events of this type result in ``change(before, after)``."""
    evolve = step.evolve

    def mutant(before: Any, event: Any) -> Any:
        after = evolve(before, event)
        return change(before, after) if isinstance(event.fact, fact) else after

    return lambda: patch.object(step, "evolve", mutant)


def _on_any_version(decide: Callable[..., Any]) -> Callable[..., Any]:
    """Save a checkpoint whatever the version of the step is."""

    def mutant(row: Any, asked: Any, at: int, pod_id: str | None = None) -> Any:
        if isinstance(asked, step.SaveCheckpoint) and row is not None:
            asked = replace(asked, version=row.version)
        return decide(row, asked, at, pod_id)

    return mutant


def _pending_or_claimed(queue: Any, at: int, limit: int, *within: Any) -> list[Step]:
    due = [s for s in queue._steps.values() if s.status in ("pending", "claimed")]
    return sorted((s for s in due if s.available_ts <= at), key=step.claim_order)[:limit]


def _any_pending(queue: Any, at: int, limit: int, *within: Any) -> list[Step]:
    pending = [s for s in queue._steps.values() if s.status == "pending"]
    return sorted(pending, key=step.claim_order)[:limit]


STEPS: Final = (
    Mutation(
        "a change carries the step's claim token",
        replaced(
            step, "_check_claim", lambda check: lambda row, token: check(row, row.claim_token)
        ),
    ),
    Mutation(
        "only pending steps are claimed",
        together(
            lambda: patch.object(memory._Queue, "due", _pending_or_claimed),
            allowed(STEP, "claimed", "claimed", "claimed"),
        ),
    ),
    Mutation(
        "no step is claimed before it is due",
        together(
            lambda: patch.object(memory._Queue, "due", _any_pending),
            _decide(Claim, lambda row: replace(row, available_ts=0)),
        ),
    ),
    Mutation(
        "higher priority is claimed first",
        replaced(memory, "claim_order", lambda _: lambda s: (0, s.created_ts, s.step_id)),
    ),
    Mutation(
        "older steps are claimed first within a priority",
        replaced(
            memory, "claim_order", lambda _: lambda s: (-s.priority, -s.created_ts, s.step_id)
        ),
    ),
    Mutation(
        "a step on its last try is not prefetched",
        lambda: patch.object(step, "steps_to_claim", lambda first, free, *_: list(first)),
    ),
    Mutation(
        "a step without a delay is due whatever the clock says",
        together(
            replaced(step, "_after", lambda _: lambda delay, at: at + delay),
            *(
                replaced(module, "is_due", lambda _: lambda s, at: s.available_ts <= at)
                for module in (step, memory)
            ),
        ),
    ),
    Mutation(
        "a retry uses up a try",
        _evolve(ev.Retried, lambda before, after: replace(after, retry_count=before.retry_count)),
    ),
    Mutation(
        "a recovery uses up a try",
        _evolve(ev.Recovered, lambda before, after: replace(after, retry_count=before.retry_count)),
    ),
    Mutation(
        "a release uses up no try",
        _evolve(
            ev.Released, lambda before, after: replace(after, retry_count=before.retry_count + 1)
        ),
    ),
    Mutation(
        "a step is recovered no more often than it has tries",
        _decide(Recover, lambda row: replace(row, max_retries=row.retry_count + 1)),
    ),
    Mutation(
        "no step fails before its tries are used up",
        _decide(step.Fail, lambda row: replace(row, max_retries=0)),
    ),
    Mutation(
        "a retry keeps the checkpoint",
        _evolve(ev.Retried, lambda before, after: replace(after, checkpoint=None)),
    ),
    Mutation(
        "a release keeps the checkpoint",
        _evolve(ev.Released, lambda before, after: replace(after, checkpoint=None)),
    ),
    Mutation(
        "a recovery keeps the checkpoint",
        _evolve(ev.Recovered, lambda before, after: replace(after, checkpoint=None)),
    ),
    Mutation(
        "a save that is carried out late changes nothing",
        replaced(step, "decide", _on_any_version),
    ),
    Mutation(
        "a completed step is not cancelled",
        allowed(STEP, "completed", "cancelled", "cancelled"),
    ),
    Mutation(
        "a completed step is not replayed",
        allowed(STEP, "completed", "replayed", "pending"),
    ),
)
