"""The leader's ephemeral dead-letter table: SQLite's, in memory. A temporary folder that is full,
or may not be written to, is no reason not to recover."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Sequence
from typing import Final

from msgspec.structs import astuple

from fleet_q.adapters import fork
from fleet_q.core.ports import DeadLetter
from fleet_q.sql import load

_CREATE: Final = load("sqlite", "create_dead_letters")
_ADD: Final = load("sqlite", "add_dead_letter")
_TAKE: Final = load("sqlite", "take_dead_letters")

MOST: Final = 100_000
"""Rows, at most, of 0.3 KB or so each; the cycles that follow find the rest."""


class SqliteDeadLetterTable:
    """A table in a private database."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._room = MOST
        self._lock = threading.Lock()
        self._is_locked_by_fork = False
        fork.register(self)

    def create(self) -> None:
        """Begin with an empty table."""
        self.drop()
        with self._lock:
            self._connection = sqlite3.connect(":memory:", isolation_level=None)
            self._connection.execute(_CREATE)
            self._room = MOST

    def add(self, orphans: Sequence[DeadLetter]) -> None:
        """Note orphans down, as far as there is room."""
        with self._lock:
            noted = orphans[: self._room]
            self._room -= len(noted)
            self._open().executemany(_ADD, [astuple(orphan) for orphan in noted])

    def take(self, limit: int) -> list[DeadLetter]:
        """Remove and return up to ``limit`` of them."""
        with self._lock:
            rows = self._open().execute(_TAKE, {"limit": limit})
            return [DeadLetter(*row) for row in rows.fetchall()]

    def drop(self) -> None:
        """Remove the table."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def before_fork(self, until: float) -> None:
        """See :class:`fleet_q.adapters.fork.Forkable`."""
        self._is_locked_by_fork = self._lock.acquire(timeout=max(0.0, until - time.monotonic()))

    def after_fork(self, in_child: bool) -> None:
        """The cycle goes on in the parent alone."""
        if in_child and self._connection is not None:
            fork.keep_forever(self._connection)
            self._connection = None
        if self._is_locked_by_fork:
            self._is_locked_by_fork = False
            self._lock.release()
        elif in_child:
            self._lock = threading.Lock()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the dead-letter table has not been created")
        return self._connection
