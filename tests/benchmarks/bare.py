"""The limit: what bare ``sqlite3`` does with a queue that keeps a history, and nothing else.

One table of tasks by an id of 32 digits, one log with an event row for every change, and the
durability of a store of FLEET-Q: WAL and ``synchronous=NORMAL``.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE task (id TEXT PRIMARY KEY, status TEXT NOT NULL, payload TEXT NOT NULL);
CREATE INDEX task_pending ON task (id) WHERE status = 'pending';
CREATE TABLE event (task_id TEXT, version INTEGER, type TEXT, data TEXT);
"""
_PAYLOAD = '{"task_type":"noop","number":1}'


class Bare:
    """A queue without leases, retries, identities or checks."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(_SCHEMA)
        self._next = 1

    def submit(self, count: int, batch: int) -> None:
        """Insert tasks, and an event for each, in transactions of ``batch``."""
        for first in range(self._next, self._next + count, batch):
            ids = [f"{number:032}" for number in range(first, first + batch)]
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO task VALUES (?, 'pending', ?)", [(i, _PAYLOAD) for i in ids]
            )
            self._db.executemany(
                "INSERT INTO event VALUES (?, 1, 'submitted', ?)", [(i, _PAYLOAD) for i in ids]
            )
            self._db.execute("COMMIT")
        self._next += count

    def drain(self, count: int, batch: int) -> None:
        """Claim ``batch`` tasks in one transaction, complete them in the next."""
        for _ in range(0, count, batch):
            self._db.execute("BEGIN IMMEDIATE")
            rows = self._db.execute(
                "SELECT id, payload FROM task WHERE status = 'pending' ORDER BY id LIMIT ?",
                (batch,),
            ).fetchall()
            self._change(rows, "claimed", 2)
            self._db.execute("COMMIT")
            self._db.execute("BEGIN IMMEDIATE")
            self._change(rows, "completed", 3)
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _change(self, rows: list[tuple[str, str]], status: str, version: int) -> None:
        self._db.executemany(
            f"UPDATE task SET status = '{status}' WHERE id = ?", [(row[0],) for row in rows]
        )
        self._db.executemany(
            f"INSERT INTO event VALUES (?, {version}, '{status}', ?)", [(r[0], "{}") for r in rows]
        )
