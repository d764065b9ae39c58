"""litequeue: a queue to pop from and to mark as done; the loop around it is ours."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.calls import Calls
from tests.benchmarks.systems.system import System

IDLE_PAUSE: Final = 0.1
"""Seconds between two polls of an empty queue. litequeue has no consumer, so this is the first
pause of huey's."""


class LiteQueue(System):
    """Batches are puts in its ``transaction()``."""

    name = "litequeue"
    modules = ("litequeue",)
    lacks = (
        "no consumer, retries or results; a task whose worker dies stays locked until somebody asks"
    )
    has_batches = True

    def __init__(self, folder: Path) -> None:
        import litequeue

        self._done: int = litequeue.MessageStatus.DONE
        self._ready: int = litequeue.MessageStatus.READY
        self._queue = litequeue.LiteQueue(folder / "litequeue.db")

    def submit(self, number: int) -> str:
        return str(self._queue.put(json.dumps({"number": number})).message_id)

    def submit_batch(self, numbers: Sequence[int]) -> None:
        with self._queue.transaction():
            for number in numbers:
                self.submit(number)

    def is_completed(self, task: str) -> bool:
        message = self._queue.get(task)
        return message is not None and message.status == self._done

    def waiting(self) -> int:
        return self._count(self._ready)

    def completed(self) -> int:
        return self._count(self._done)

    def consume(self, calls: Calls, stopping: threading.Event) -> None:
        while not stopping.is_set():
            message = self._queue.pop()
            if message is None:
                stopping.wait(IDLE_PAUSE)
                continue
            calls.record(json.loads(message.data)["number"])
            self._queue.done(message.message_id)

    def close(self) -> None:
        self._queue.close()

    def _count(self, status: int) -> int:
        sql = f"SELECT count(*) FROM {self._queue.table} WHERE status = ?"
        return int(self._queue.conn.execute(sql, (int(status),)).fetchone()[0])
