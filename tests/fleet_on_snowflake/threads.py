"""Pods in threads of the test process, with the real app, runners and sessions."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable

from msgspec.structs import replace

from fleet_q import FleetQ
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.services.app.settings import Settings
from tests.waiting import LIMIT


class Fleet:
    """Starts pods, and stops all of them at the end."""

    def __init__(self, open_store: Callable[[], SnowflakeStore]) -> None:
        self.stores: list[SnowflakeStore] = []
        self._open_store = open_store
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, number: int, settings: Settings) -> None:
        """Start ``number`` pods; returns when all of them run."""
        running = threading.Barrier(number + 1)
        for _ in range(number):
            store = self._open_store()
            pod_id = f"pod-{len(self._threads)}"
            thread = threading.Thread(target=self._live, args=(store, pod_id, settings, running))
            self.stores.append(store)
            self._threads.append(thread)
            thread.start()
        running.wait(LIMIT)

    def stop(self) -> None:
        """Drain all pods and close their stores."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for store in self.stores:
            store.close()

    def errors(self) -> dict[int, int]:
        """How often each of Snowflake's errors was met and handled, by its number."""
        return dict(sum((store.session.errors for store in self.stores), start=Counter()))

    def _live(
        self, store: SnowflakeStore, pod_id: str, settings: Settings, running: threading.Barrier
    ) -> None:
        app = FleetQ(store, settings=replace(settings, pod_id=pod_id))

        @app.task("nap")
        def nap(number: int) -> int:
            time.sleep(0.01)
            return number

        async def live() -> None:
            async with app.running():
                running.wait()
                await asyncio.to_thread(self._stop.wait)

        asyncio.run(live())
