"""Mutations of the store: isolation, atomicity, retries and pruning."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace

from fleet_q.adapters import memory
from fleet_q.core import pruning
from fleet_q.core.event_store import EventStore
from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.core.pod import Pod
from fleet_q.core.step import Step
from fleet_q.services.simulation import procedures
from fleet_q.services.simulation.server import Server
from tests.mutations.guards import (
    Mutation,
    replaced,
    with_arguments,
)


def _stale_claims(claimable: Any) -> Any:
    """Claim the steps that an earlier transaction read."""
    seen: dict[Any, list[Step]] = {}

    def mutant(tx: Any, limit: int, *within: Any) -> list[Step]:
        stale = seen.get(tx._db, [])[:limit]
        seen[tx._db] = claimable(tx, limit, *within)
        return [tx._db.steps[s.step_id] and s for s in stale]

    return mutant


def _without_events(do: Any) -> Any:
    """Commit the rows, but not the events."""

    def mutant(server: Server, *carried_out: Any) -> None:
        log = server._database.step_log
        before = {step_id: len(events) for step_id, events in log.items()}
        do(server, *carried_out)
        for step_id, events in log.items():
            del events[before.get(step_id, 0) :]

    return mutant


def _never_a_retry(sync: Any) -> Any:
    return lambda self, request: sync(self, replace(request, is_retry=False))


def _always_unique(submit: Any) -> Any:
    def mutant(self: Any, new: Sequence[Any], pod_id: str | None = None) -> Any:
        return submit(self, [replace(submission, unique=True) for submission in new], pod_id)

    return mutant


def _without_comparison() -> AbstractContextManager[Any]:
    """Prune steps and pods without comparing them with what was read before."""
    prune_steps, prune_pod = (
        memory.MemoryTransaction.prune_steps,
        memory.MemoryTransaction.prune_pod,
    )

    def prune_current_steps(tx: Any, ended: Sequence[Any], before: int) -> Any:
        current = [
            replace(step, version=tx._db.steps[step.step_id].version)
            for step in ended
            if step.step_id in tx._db.steps
        ]
        return prune_steps(tx, current, tx.at)

    def prune_current_pod(tx: Any, row: Pod) -> Any:
        return prune_pod(tx, tx._db.pods.get(row.pod_id, row))

    return patch.multiple(
        memory.MemoryTransaction, prune_steps=prune_current_steps, prune_pod=prune_current_pod
    )


STORE: Final = (
    Mutation(
        "a claim sees what the transactions before it wrote",
        replaced(memory.MemoryTransaction, "claimable", _stale_claims),
    ),
    Mutation(
        "the event is in the row's transaction",
        replaced(Server, "_do", _without_events),
    ),
    Mutation("a retried sync is not done twice", replaced(EventStore, "sync", _never_a_retry)),
    Mutation(
        "a retried submission is not done twice", replaced(EventStore, "submit", _always_unique)
    ),
    Mutation(
        "only final steps are pruned",
        replaced(pruning, "prune_cycle", with_arguments(statuses=STEP_STATUSES)),
    ),
    Mutation(
        "nothing younger than the limit is pruned",
        replaced(pruning, "prune_cycle", with_arguments(older_than=0)),
    ),
    Mutation(
        "only pods that are down or asleep are pruned",
        replaced(pruning, "prunable_pods", lambda _: lambda pods, before: list(pods)),
    ),
    Mutation("what has changed since it was read is not pruned", _without_comparison),
    Mutation(
        "the loss of a claim is confirmed by a read that is not stale",
        replaced(procedures, "must_be_confirmed", lambda _: lambda result: False),
    ),
    Mutation(
        "only the leader prunes", replaced(pruning, "prune_cycle", with_arguments(dead_after=None))
    ),
)
