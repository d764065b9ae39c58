"""raquel on SQLite with default settings and its own subscription."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.benchmarks.calls import Calls
from tests.benchmarks.systems.system import System


class Raquel(System):
    """Its tables are SQLAlchemy's; on SQLite its row locks do nothing."""

    name = "raquel"
    modules = ("raquel", "greenlet")  # raquel imports greenlet without declaring it
    lacks = "no history or results; on SQLite two workers may take the same task"

    def __init__(self, folder: Path) -> None:
        import raquel
        from sqlalchemy import create_engine, event

        engine = create_engine(f"sqlite:///{folder / 'raquel.db'}")

        def set_up(connection: Any, _: object) -> None:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")

        event.listen(engine, "connect", set_up)
        self._queue = raquel.Raquel(engine)
        self._queue.create_all()

    def submit(self, number: int) -> Any:
        return self._queue.enqueue("default", {"number": number}).id

    def is_completed(self, task: Any) -> bool:
        job = self._queue.get(task)
        return job is not None and job.status == self._queue.SUCCESS

    def waiting(self) -> int:
        return int(self._queue.count("default", self._queue.QUEUED))

    def completed(self) -> int:
        return int(self._queue.count("default", self._queue.SUCCESS))

    def consume(self, calls: Calls, stopping: threading.Event) -> None:
        def noop(job: Any) -> None:
            calls.record(job.payload["number"])

        def stop() -> None:
            stopping.wait()
            subscription.stop()

        subscription = self._queue.add_subscription(noop, "default")
        threading.Thread(target=stop, daemon=True).start()
        self._queue.run_subscriptions()

    def close(self) -> None:
        self._queue.engine.dispose()
