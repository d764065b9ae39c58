"""persist-queue's queue with acknowledgement; the loop around it is ours."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from tests.benchmarks.calls import Calls
from tests.benchmarks.systems.system import System

GET_TIMEOUT: Final = 1.0
"""Seconds that one ``get`` waits. It sees items of other processes only when it begins to wait
and when it has waited; without a timeout that is every 10 s."""


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

        # Resuming unacknowledged items is only correct for a single worker.
        self._queue = SQLiteAckQueue(str(folder / "persist-queue"), auto_resume=False)
        # It has no setting for this, and SQLite's default is FULL.
        self._queue._conn.execute("PRAGMA synchronous = NORMAL")
        self._submitted = 0

    def submit(self, number: int) -> int:
        self._queue.put({"number": number})
        self._submitted += 1
        return self._submitted

    def is_completed(self, task: int) -> bool:
        """It has no status of a task; tasks are done in order, so their number is enough."""
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
