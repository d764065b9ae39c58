"""An event loop in a thread of its own, for the async functions of a pod that is a process."""

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
"""Seconds that cancelled functions have to clean up."""

_PAUSE: Final = 0.1


class LoopThread:
    """Runs ``loop`` while its block runs, whatever is done to it: asyncio lets ``sys.exit()`` in a
    task or a callback, and ``loop.stop()``, end the loop, and with it every other function.

    A function that blocks the loop is left behind at the end, in a daemon thread.
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
            log.warning("an async function cannot be stopped: leaving it behind")

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
        """Run the loop until something ends it."""
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            log.warning("%s in a task or callback; the event loop goes on", message_of(error))
        except BaseException as error:
            log.error("the event loop failed, and goes on: %s", message_of(error))
            time.sleep(_PAUSE)
