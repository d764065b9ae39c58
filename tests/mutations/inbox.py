"""Mutations of the inbox: each row becomes one step, in order."""

from __future__ import annotations

from typing import Any, Final

from fleet_q.adapters.memory import MemoryTransaction
from fleet_q.core import intake
from fleet_q.services.simulation import simulated_store
from tests.mutations.guards import Mutation, replaced


def _backwards(inbox: Any) -> Any:
    return lambda tx, limit, most_bytes: inbox(tx, limit, most_bytes)[::-1]


def _only_the_last(inbox: Any) -> Any:
    """Pass over all rows of a batch but the last, which are deleted with it."""
    return lambda tx, limit, most_bytes: inbox(tx, limit, most_bytes)[-1:]


def _each_alone(add: Any) -> Any:
    """Plan each row as if none was planned before it."""

    def mutant(plan: Any, submit: Any) -> None:
        plan._new_owners.clear()
        add(plan, submit)

    return mutant


INBOX: Final = (
    Mutation(
        "no row of the inbox is deleted before it is taken in",
        replaced(MemoryTransaction, "inbox", _only_the_last),
    ),
    Mutation(
        "rows of the inbox are taken in by their order",
        replaced(MemoryTransaction, "inbox", _backwards),
    ),
    Mutation(
        "a sync that finds no step looks into the inbox",
        replaced(MemoryTransaction, "has_inbox_rows", lambda _: lambda tx: False),
    ),
    Mutation(
        "rows that are taken in together know of each other's unique keys",
        replaced(intake._Plan, "add", _each_alone),
    ),
    Mutation(
        "rows are planned again if steps have their unique keys by now",
        replaced(simulated_store, "_is_storable", lambda _: lambda tx, submission: True),
    ),
)
