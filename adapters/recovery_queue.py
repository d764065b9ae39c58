"""The leader's recovery queue: an in-memory SQLite table, so that recovery does not depend on a
writable temporary folder."""

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

MAX_ROWS: Final = 100_000
"""The most rows, each of about 0.3 KB. Orphans beyond that are found by the next recovery
cycles."""


class SqliteRecoveryQueue:
    """A :class:`~fleet_q.core.ports.RecoveryQueue` in a private SQLite database."""

    def __init__(self) -> None:
        self._owned: fork.OwnedConnection[sqlite3.Connection] = fork.OwnedConnection()
        self._room = MAX_ROWS
        fork.register(self._owned)  # a forked child does not continue the recovery cycle

    def create(self) -> None:
        """Create an empty table, dropping an earlier one."""
        self.drop()
        with self._owned.lock:
            connection = sqlite3.connect(":memory:", isolation_level=None)
            self._owned.connection = connection
            connection.execute(_CREATE)
            self._room = MAX_ROWS

    def add(self, orphans: Sequence[Orphan]) -> None:
        """Insert orphans, until the table has ``MAX_ROWS`` rows."""
        with self._owned.lock:
            rows = orphans[: self._room]
            self._room -= len(rows)
            self._open().executemany(_ADD, [astuple(orphan) for orphan in rows])

    def take(self, limit: int) -> list[Orphan]:
        """Delete and return up to ``limit`` orphans."""
        with self._owned.lock:
            rows = self._open().execute(_TAKE, {"limit": limit})
            return [Orphan(*row) for row in rows.fetchall()]

    def drop(self) -> None:
        """Drop the table."""
        with self._owned.lock:
            self._owned.close()

    def _open(self) -> sqlite3.Connection:
        if self._owned.connection is None:
            raise RuntimeError("the recovery queue has not been created: call create() first")
        return self._owned.connection
