"""Mutations of the inbox: each row becomes one step, in order."""

from __future__ import annotations

from typing import Any, Final

from fleet_q.adapters.memory import MemoryTransaction
from tests.mutations.guards import Mutation, replaced


def _backwards(inbox: Any) -> Any:
    return lambda tx, limit, most_bytes: inbox(tx, limit, most_bytes)[::-1]


def _only_the_last(inbox: Any) -> Any:
    """Pass over all rows of a batch but the last, which are deleted with it."""
    return lambda tx, limit, most_bytes: inbox(tx, limit, most_bytes)[-1:]


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
)
