"""Mutations of the inbox: each row becomes one step, in order."""

from __future__ import annotations

from typing import Any, Final

from fleet_q.adapters.memory import MemoryTransaction
from tests.mutations.guards import Mutation, nothing, replaced


def _backwards(inbox: Any) -> Any:
    return lambda tx, limit, most_bytes: inbox(tx, limit, most_bytes)[::-1]


def _for_good(delete: Any) -> Any:
    """Delete rows although the transaction is rolled back."""

    def mutant(tx: Any, last: Any) -> None:
        delete(tx, last)
        tx._undo.pop()

    return mutant


INBOX: Final = (
    Mutation(
        "rows of the inbox are deleted when they are taken in",
        replaced(MemoryTransaction, "delete_inbox_rows", nothing),
    ),
    Mutation(
        "rows of the inbox are taken in by their order",
        replaced(MemoryTransaction, "inbox", _backwards),
    ),
    Mutation(
        "a sync that finds no step looks into the inbox",
        replaced(MemoryTransaction, "has_inbox_rows", lambda _: lambda tx: False),
    ),
)
