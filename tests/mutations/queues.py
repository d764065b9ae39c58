"""Mutations of queues: what counts towards their limits, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace

from fleet_q.adapters.memory import MemoryTransaction
from fleet_q.core.claim_limits import ClaimLimits
from fleet_q.core.queues import QueueRoom
from tests.mutations.guards import Mutation, nothing, replaced


def _counted_before(running: Any) -> Any:
    """Count the claims that an earlier transaction found."""
    counted: dict[Any, Any] = {}

    def mutant(tx: Any, queues: Sequence[str], ended: Any) -> Any:
        before = counted.get(tx._db, {})
        counted[tx._db] = running(tx, queues, ended)
        return before

    return mutant


def _without_pause(init: Any) -> Any:
    def mutant(room: QueueRoom, queue: Any, running: Any, at: int) -> None:
        init(room, queue, running, at)
        room._queue = replace(room._queue, paused=False)

    return mutant


QUEUES: Final = (
    Mutation(
        "claimed steps count towards the limit of their queue",
        replaced(MemoryTransaction, "running", lambda _: lambda tx, queues, ended: {}),
    ),
    Mutation(
        "claims are counted in the transaction of the claim",
        replaced(MemoryTransaction, "running", _counted_before),
    ),
    Mutation(
        "a limit per key is kept",
        lambda: patch.object(QueueRoom, "per_key", None),
    ),
    Mutation(
        "a claim takes a token",
        replaced(QueueRoom, "after_claim", nothing),
    ),
    Mutation(
        "a paused queue gives no steps",
        replaced(QueueRoom, "__init__", _without_pause),
    ),
    Mutation(
        "steps of a queue with limits are not prefetched",
        replaced(ClaimLimits, "concerns", lambda _: lambda limits, step: False),
    ),
)
