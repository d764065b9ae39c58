"""huey on SQLite with default settings: its own consumer and one worker thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.benchmarks.calls import Calls
from tests.benchmarks.systems.system import System


class Huey(System):
    """A task is deleted when it is taken and its result stored when it is done."""

    name = "huey"
    modules = ("huey",)
    lacks = "a task that was taken is lost if its worker dies; keeps results, no history"

    def __init__(self, folder: Path) -> None:
        from huey import SqliteHuey

        self._huey = SqliteHuey(filename=str(folder / "huey.db"))
        # huey itself offers only FULL and OFF.
        self._huey.storage.conn.execute("PRAGMA synchronous = NORMAL")
        self._noop = self._huey.task(name="noop")(self._run)
        self._calls: Calls | None = None

    def submit(self, number: int) -> Any:
        return self._noop(number)

    def is_completed(self, task: Any) -> bool:
        return task.get(preserve=True) is not None

    def waiting(self) -> int:
        return int(self._huey.storage.queue_size())

    def completed(self) -> int:
        return int(self._huey.storage.result_store_size())

    def consume(self, calls: Calls, stopping: threading.Event) -> None:
        """Its consumer handles the signals itself."""
        self._calls = calls
        self._huey.create_consumer(workers=1, graceful_signal="TERM").run()

    def close(self) -> None:
        self._huey.storage.close()

    def _run(self, number: int) -> int:
        assert self._calls is not None
        return self._calls.record(number)
