"""An event loop in its own thread, for the async functions of a pod that is its own process."""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Any, Final, Self

from fleet_q.services.app.description import message_of
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.process")

CLOSE_WITHIN: Final = 2.0
"""Seconds that cancelled functions have for cleanup."""

_RESTART_AFTER: Final = 0.1
"""Seconds until a loop that failed runs again."""


class LoopThread:
    """A context manager that runs ``loop`` in a daemon thread.

    The loop is started again whenever it stops early: ``sys.exit()`` in a task or a callback, and
    ``loop.stop()``, stop an asyncio loop and with it all its tasks. A function that blocks the
    loop at the end keeps its daemon thread.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="fleet-q-loop", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closing = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CLOSE_WITHIN)
        if self._thread.is_alive():
            log.warning("an async function blocks the event loop and cannot be stopped")

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._is_closing:
            self._run_once()
        while tasks := asyncio.all_tasks(self.loop):
            for task in tasks:
                task.cancel()
            self._run_until(asyncio.gather(*tasks, return_exceptions=True))
        self._run_until(self.loop.create_task(self.loop.shutdown_asyncgens()))
        self.loop.close()

    def _run_until(self, future: asyncio.Future[Any]) -> None:
        future.add_done_callback(lambda _: self.loop.stop())
        self._run_once()

    def _run_once(self) -> None:
        """Run the loop until it stops."""
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            log.warning("%s in a task or callback; the event loop continues", message_of(error))
        except BaseException as error:
            log.error("the event loop failed and is started again: %s", message_of(error))
            time.sleep(_RESTART_AFTER)
