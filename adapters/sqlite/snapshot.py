"""A long read of a SQLite file at one point in time, on its own connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from fleet_q.adapters import fork
from fleet_q.adapters.sqlite.open import Opening
from fleet_q.adapters.sqlite.transaction import Row, SqliteTransaction

_ROWS: Final = 500
"""Rows read at a time. A fork waits for one such read."""


class Snapshot:
    """A read transaction on its own connection, begun by the constructor. The connection is
    read-only, so a forked child may close its copy without writing to the file or releasing a lock
    of its parent."""

    def __init__(self, opening: Opening, at: int) -> None:
        connection = opening.connect("ro")
        self._owned = fork.OwnedConnection(connection)
        try:
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("BEGIN")
            self.transaction = _SnapshotTransaction(connection, at, self._owned)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """End the transaction and close the connection."""
        self._owned.close()

    def before_fork(self, until: float) -> None:
        """See :class:`fleet_q.adapters.fork.Forkable`."""
        self._owned.before_fork(until)

    def after_fork(self, in_child: bool) -> None:
        """See :class:`fleet_q.adapters.fork.Forkable`."""
        self._owned.after_fork(in_child)
        if in_child:
            self.transaction.refuse("the process was forked during this read; start the read again")


class _SnapshotTransaction(SqliteTransaction):
    def __init__(self, connection: sqlite3.Connection, at: int, lock: fork.ForkLock) -> None:
        super().__init__(connection, at, may_write=False)
        self._fork_lock = lock

    def _stream(self, name: str, values: dict[str, Any] | tuple[()] = ()) -> Iterator[Row]:
        with self._fork_lock.lock:
            cursor = self._run(name, values)
        while True:
            with self._fork_lock.lock:
                self.check()
                rows = cursor.fetchmany(_ROWS)
            if not rows:
                return
            yield from rows
