"""The leader's ephemeral dead-letter table: SQLite's, in memory. A temporary folder that is full,
or may not be written to, is no reason not to recover."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from msgspec.structs import astuple

from fleet_q.adapters import fork
from fleet_q.core.ports import Orphan
from fleet_q.sql import load

_CREATE: Final = load("sqlite", "create_recovery_queue")
_ADD: Final = load("sqlite", "add_orphan")
_TAKE: Final = load("sqlite", "take_orphans")

MOST: Final = 100_000
"""Rows, at most, of 0.3 KB or so each; the cycles that follow find the rest."""


class SqliteRecoveryQueue:
    """A table in a private database."""

    def __init__(self) -> None:
        self._owned: fork.OwnedConnection[sqlite3.Connection] = fork.OwnedConnection()
        self._room = MOST
        fork.register(self._owned)  # a recovery cycle goes on in the parent alone

    def create(self) -> None:
        """Begin with an empty table."""
        self.drop()
        with self._owned.lock:
            connection = sqlite3.connect(":memory:", isolation_level=None)
            self._owned.connection = connection
            connection.execute(_CREATE)
            self._room = MOST

    def add(self, orphans: Sequence[Orphan]) -> None:
        """Note orphans down, as far as there is room."""
        with self._owned.lock:
            noted = orphans[: self._room]
            self._room -= len(noted)
            self._open().executemany(_ADD, [astuple(orphan) for orphan in noted])

    def take(self, limit: int) -> list[Orphan]:
        """Remove and return up to ``limit`` of them."""
        with self._owned.lock:
            rows = self._open().execute(_TAKE, {"limit": limit})
            return [Orphan(*row) for row in rows.fetchall()]

    def drop(self) -> None:
        """Remove the table."""
        with self._owned.lock:
            self._owned.close()

    def _open(self) -> sqlite3.Connection:
        if self._owned.connection is None:
            raise RuntimeError("the dead-letter table has not been created")
        return self._owned.connection
