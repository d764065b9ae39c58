"""The guards of the store: what one transaction sees and does, and what is pruned."""

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
from fleet_q.services.simulation.server import Server, Session
from tests.mutations.guards import (
    Mutation,
    replaced,
    with_arguments,
)


def _stale_claims(claimable: Any) -> Any:
    """Claim what another transaction saw."""
    seen: dict[Any, list[Step]] = {}

    def careless(tx: Any, limit: int) -> list[Step]:
        stale = seen.get(tx._db, [])[:limit]
        seen[tx._db] = claimable(tx, limit)
        return [tx._db.steps[s.step_id] and s for s in stale]

    return careless


def _log_apart(do: Any) -> Any:
    """Keep the rows in one transaction, and the events in another one after the answer."""

    def careless(server: Server, session: Session) -> None:
        log = server._database.step_log
        before = {step_id: len(events) for step_id, events in log.items()}
        do(server, session)
        for step_id, events in log.items():
            del events[before.get(step_id, 0) :]

    return careless


def _not_again(turn_of: Any) -> Any:
    return lambda self, request: turn_of(self, replace(request, is_retry=False))


def _taken_for_new(submit: Any) -> Any:
    def careless(self: Any, new: Sequence[Any], pod_id: str | None = None) -> Any:
        return submit(self, [replace(each, unique=True) for each in new], pod_id)

    return careless


def _whatever_has_become_of_it() -> AbstractContextManager[Any]:
    """Prune steps and pods as they are now, not as they were found."""
    prune_steps, prune_pod = (
        memory.MemoryTransaction.prune_steps,
        memory.MemoryTransaction.prune_pod,
    )

    def steps(tx: Any, ended: Sequence[Any], before: int) -> Any:
        known = [
            replace(e, version=tx._db.steps[e.step_id].version)
            for e in ended
            if e.step_id in tx._db.steps
        ]
        return prune_steps(tx, known, tx.at)

    def pod_(tx: Any, known: Pod) -> Any:
        return prune_pod(tx, tx._db.pods.get(known.pod_id, known))

    return patch.multiple(memory.MemoryTransaction, prune_steps=steps, prune_pod=pod_)


STORE: Final = (
    Mutation(
        "a claim sees what the transactions before it wrote",
        replaced(memory.MemoryTransaction, "claimable", _stale_claims),
    ),
    Mutation(
        "the event is in the row's transaction",
        replaced(Server, "_do", _log_apart),
    ),
    Mutation("a turn asked again is not done twice", replaced(EventStore, "sync", _not_again)),
    Mutation(
        "a submission asked again is not done twice", replaced(EventStore, "submit", _taken_for_new)
    ),
    Mutation(
        "only what has ended is pruned",
        replaced(pruning, "prune_cycle", with_arguments(statuses=STEP_STATUSES)),
    ),
    Mutation(
        "only what has ended long ago is pruned",
        replaced(pruning, "prune_cycle", with_arguments(older_than=0)),
    ),
    Mutation(
        "only pods that are not awaited are pruned",
        replaced(pruning, "prunable_pods", lambda _: lambda pods, before: list(pods)),
    ),
    Mutation(
        "what has changed since it was found is not pruned", lambda: _whatever_has_become_of_it()
    ),
    Mutation(
        "only the leader prunes", replaced(pruning, "prune_cycle", with_arguments(dead_after=None))
    ),
)
