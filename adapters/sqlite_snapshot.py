"""A picture of a SQLite file that is looked at for long, by a connection of its own."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from fleet_q.adapters import fork
from fleet_q.adapters.sqlite_open import Opening
from fleet_q.adapters.sqlite_transaction import Row, SqliteTransaction

_ROWS: Final = 500
"""Read at a time; a fork waits for that."""


class Snapshot:
    """Opened when it is made. The connection cannot write: a child that a fork leaves it to may
    close it, for that neither changes a file nor ends a lock of its parent's."""

    def __init__(self, opening: Opening, at: int) -> None:
        self._lock = threading.Lock()
        self._is_locked_by_fork = False
        self._connection: sqlite3.Connection | None = opening.connect("ro")
        try:
            self._connection.execute("PRAGMA temp_store = MEMORY")
            self._connection.execute("BEGIN")
            self.transaction = _SnapshotTransaction(self._connection, at, self._lock)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Let go of the picture."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def before_fork(self, until: float) -> None:
        """See :class:`fleet_q.adapters.fork.Forkable`."""
        self._is_locked_by_fork = self._lock.acquire(timeout=max(0.0, until - time.monotonic()))

    def after_fork(self, in_child: bool) -> None:
        """See :class:`fleet_q.adapters.fork.Forkable`."""
        if in_child and self._connection is not None:
            if self._is_locked_by_fork:
                self._connection.close()
            else:
                fork.keep_forever(self._connection)
            self._connection = None
            self.transaction.refuse("this was read when the process was forked; read it again")
        if self._is_locked_by_fork:
            self._is_locked_by_fork = False
            self._lock.release()


class _SnapshotTransaction(SqliteTransaction):
    def __init__(self, connection: sqlite3.Connection, at: int, lock: threading.Lock) -> None:
        super().__init__(connection, at)
        self._lock = lock

    def _stream(self, name: str, values: dict[str, Any] | tuple[()] = ()) -> Iterator[Row]:
        with self._lock:
            cursor = self._run(name, values)
        while True:
            with self._lock:
                self.check()
                rows = cursor.fetchmany(_ROWS)
            if not rows:
                return
            yield from rows
