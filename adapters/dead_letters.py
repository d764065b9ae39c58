"""The leader's ephemeral dead-letter table: SQLite's own temporary file, gone with the cycle."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from fleet_q.core.ports import DeadLetter
from fleet_q.core.step import Step
from fleet_q.sql import load

_CREATE = load("sqlite", "create_dead_letters")
_ADD = load("sqlite", "add_dead_letter")
_TAKE = load("sqlite", "take_dead_letters")
_DROP = load("sqlite", "drop_dead_letters")


class SqliteDeadLetterTable:
    """A table in a private temporary database, which SQLite spills to disk when it grows."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None

    def create(self) -> None:
        """Begin with an empty table."""
        self.drop()
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute(_CREATE)

    def add(self, orphans: Sequence[Step]) -> None:
        """Note orphans down."""
        self._open().executemany(
            _ADD,
            [
                (s.step_id, s.claim_token, s.claimed_by, s.retry_count, s.max_retries)
                for s in orphans
            ],
        )

    def take(self, limit: int) -> list[DeadLetter]:
        """Remove and return up to ``limit`` of them."""
        rows = self._open().execute(_TAKE, {"limit": limit})
        return [DeadLetter(*row) for row in rows.fetchall()]

    def drop(self) -> None:
        """Remove the table, and the file that it may have spilled to."""
        if self._connection is not None:
            self._connection.execute(_DROP)
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the dead-letter table has not been created")
        return self._connection
