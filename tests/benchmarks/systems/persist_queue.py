"""persist-queue's queue with acknowledgement; the loop around it is ours."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from tests.benchmarks.calls import Calls
from tests.benchmarks.systems.system import System

GET_TIMEOUT: Final = 1.0
"""Seconds that one ``get`` waits. What another process has put it only sees when it begins to
wait or has done waiting, with no timeout every 10 s."""


class PersistQueue(System):
    """Its items are pickled, as it does by default."""

    name = "persist-queue"
    modules = ("persistqueue",)
    lacks = (
        "no consumer, retries or results; made for one process: two may take the same task, and a"
        " task whose worker died is taken up at the next start"
    )

    def __init__(self, folder: Path) -> None:
        from persistqueue import SQLiteAckQueue

        # Taking up what was not acknowledged is for a worker that starts alone.
        self._queue = SQLiteAckQueue(str(folder / "persist-queue"), auto_resume=False)
        # It has no setting for it, and SQLite's own is FULL.
        self._queue._conn.execute("PRAGMA synchronous = NORMAL")
        self._submitted = 0

    def submit(self, number: int) -> int:
        self._queue.put({"number": number})
        self._submitted += 1
        return self._submitted

    def is_completed(self, task: int) -> bool:
        """It cannot say it of one; tasks are done in order, so their number tells."""
        return self.completed() >= task

    def waiting(self) -> int:
        return int(self._queue._count())

    def completed(self) -> int:
        return int(self._queue.acked_count())

    def consume(self, calls: Calls, stopping: threading.Event) -> None:
        from persistqueue import Empty

        while not stopping.is_set():
            try:
                item = self._queue.get(timeout=GET_TIMEOUT, raw=True)
            except Empty:
                continue
            calls.record(item["data"]["number"])
            self._queue.ack(id=item["pqid"])

    def close(self) -> None:
        self._queue.close()
