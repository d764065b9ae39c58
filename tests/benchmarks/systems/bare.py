"""The limit: bare ``sqlite3`` with the same tasks and without any other feature.

One table of tasks by an id of 32 digits, and one log with an event row for every change, or none.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from tests.benchmarks.calls import Calls
from tests.benchmarks.systems.system import System

BATCH: Final = 100
"""Tasks that a worker claims, and then completes, in one transaction."""

IDLE_PAUSE: Final = 0.01

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS task (
    id TEXT PRIMARY KEY, status TEXT NOT NULL, payload TEXT NOT NULL, result TEXT
);
CREATE INDEX IF NOT EXISTS task_pending ON task (id) WHERE status = 'pending';
CREATE TABLE IF NOT EXISTS event (task_id TEXT, version INTEGER, type TEXT, data TEXT);
"""
_PAYLOAD: Final = '{"task_type":"noop","number":%d}'
_Rows = Sequence[tuple[str, str]]


class Bare(System):
    """A queue without leases, retries, identities or checks."""

    name = "sqlite3"
    lacks = "the limit without history: no leases, retries, identities or checks"
    has_batches = True
    has_events: ClassVar[bool] = False

    def __init__(self, folder: Path) -> None:
        path = folder / "bare.db"
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def submit(self, number: int) -> str:
        self.submit_batch([number])
        return _id(number)

    def submit_batch(self, numbers: Sequence[int]) -> None:
        rows = [(_id(number), _PAYLOAD % number) for number in numbers]
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO task VALUES (?, 'pending', ?, NULL)", rows)
        self._log(1, "submitted", rows)
        self._db.execute("COMMIT")

    def is_completed(self, task: str) -> bool:
        row = self._db.execute("SELECT status FROM task WHERE id = ?", (task,)).fetchone()
        return row is not None and row[0] == "completed"

    def waiting(self) -> int:
        return self._count("pending")

    def completed(self) -> int:
        return self._count("completed")

    def consume(self, calls: Calls, stopping: threading.Event) -> None:
        """Claim a batch in one transaction, call the functions, complete it in the next."""
        while not stopping.is_set():
            calls.mark()
            tasks = self._claim()
            results = [(str(calls.record(int(task))), task) for task, _ in tasks]
            self._complete(results)
            calls.mark()
            while not self._has_pending() and not stopping.is_set():
                stopping.wait(IDLE_PAUSE)

    def close(self) -> None:
        self._db.close()

    def _claim(self) -> _Rows:
        self._db.execute("BEGIN IMMEDIATE")
        rows: _Rows = self._db.execute(
            "SELECT id, payload FROM task WHERE status = 'pending' ORDER BY id LIMIT ?", (BATCH,)
        ).fetchall()
        self._db.executemany(
            "UPDATE task SET status = 'claimed' WHERE id = ?", [(task,) for task, _ in rows]
        )
        self._log(2, "claimed", [(task, "{}") for task, _ in rows])
        self._db.execute("COMMIT")
        return rows

    def _complete(self, results: _Rows) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "UPDATE task SET status = 'completed', result = ? WHERE id = ?", results
        )
        self._log(3, "completed", [(task, result) for result, task in results])
        self._db.execute("COMMIT")

    def _log(self, version: int, type_: str, rows: _Rows) -> None:
        if self.has_events:
            self._db.executemany(f"INSERT INTO event VALUES (?, {version}, '{type_}', ?)", rows)

    def _has_pending(self) -> bool:
        sql = "SELECT 1 FROM task WHERE status = 'pending' LIMIT 1"
        return self._db.execute(sql).fetchone() is not None

    def _count(self, status: str) -> int:
        sql = "SELECT count(*) FROM task WHERE status = ?"
        return int(self._db.execute(sql, (status,)).fetchone()[0])


class BareWithEvents(Bare):
    """The limit for a queue that keeps its history, as FLEET-Q does."""

    name = "sqlite3 + events"
    lacks = "the limit with history: an event row for each change, and nothing else"
    has_events = True


def _id(number: int) -> str:
    return f"{number:032}"
