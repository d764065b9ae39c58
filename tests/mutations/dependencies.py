"""Mutations of dependencies: when a waiting step is ready, what falls, and what comes back."""

from __future__ import annotations

from typing import Any, Final

from fleet_q.adapters.memory import MemoryTransaction
from fleet_q.core import dependencies
from fleet_q.core.lifecycle import FINAL
from fleet_q.core.settling import Settling
from tests.mutations.guards import Mutation, nothing, replaced


def _none(_: Any) -> Any:
    return lambda *args: set()


def _however_it_ended(_: Any) -> Any:
    return lambda kind, status: status is None or status in FINAL


DEPENDENCIES: Final = (
    Mutation(
        "a step waits for all of its parents",
        replaced(MemoryTransaction, "with_dependencies", _none),
    ),
    Mutation(
        "a step is ready only if its parents have succeeded",
        replaced(dependencies, "is_satisfied", _however_it_ended),
    ),
    Mutation(
        "the transaction that ends a step settles what waits for it",
        replaced(Settling, "settle", nothing),
    ),
    Mutation(
        "a step comes back only if no other parent keeps it from that",
        replaced(dependencies, "restored", lambda _: lambda parents, statuses: list(parents)),
    ),
    Mutation(
        "parents are kept until their children have ended",
        replaced(MemoryTransaction, "_parents_of_open_steps", _none),
    ),
)
