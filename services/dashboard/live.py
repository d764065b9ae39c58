"""Changes, which tells open pages when something has changed, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fleet_q.services.dashboard.reads import Reads
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.dashboard")

MOST_STREAMS: Final = 100
"""The most pages that are told of changes at once. The server must have connections left for
requests, and closes no stream to make room for one."""

KEEP_ALIVE: Final = 15.0
"""Seconds between two lines to a page, so that one that is gone is noticed."""

RETRY: Final = 5_000
"""Milliseconds after which a browser connects again."""

UNAVAILABLE: Final = "unavailable"
"""What pages are told while the store does not answer."""

OnChange = Callable[[], None]


class Changes:
    """Looks for changes in a thread while any page is open, and tells all of them."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._lock = threading.Lock()
        self._pages: dict[object, OnChange] = {}
        self._none_open = threading.Event()
        self._thread: threading.Thread | None = None
        self.seen = ""
        """The change counter that was read last, or ``UNAVAILABLE``."""

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    @property
    def is_looking(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None

    @contextlib.contextmanager
    def telling(self, on_change: OnChange) -> Iterator[None]:
        """Call ``on_change`` after every change while the body runs; from a thread."""
        key = object()
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._look, name="fleet-q-changes", daemon=True)
                thread.start()  # it may fail, and waits for the lock
                self._thread = thread
            self._pages[key] = on_change
            self._none_open.clear()
        try:
            yield
        finally:
            with self._lock:
                del self._pages[key]
                if not self._pages:
                    self._none_open.set()

    def _look(self) -> None:
        is_unsettled = False
        while True:
            with self._lock:
                if not self._pages:
                    self._thread = None
                    return
            interval = KEEP_ALIVE
            try:
                seen = str(self._reads.look())
                interval = self._reads.interval
            except Exception as error:  # whatever it is, pages are told of later changes
                seen = UNAVAILABLE
                if self.seen != seen:
                    log.warning("the dashboard cannot read the store: %s", error)
            has_changed = seen != self.seen
            self.seen = seen
            if has_changed or is_unsettled:
                self._tell()
            # Another session of Snowflake may not see at once what was committed.
            is_unsettled = has_changed and seen != UNAVAILABLE and self._reads.is_billed
            self._none_open.wait(interval)

    def _tell(self) -> None:
        with self._lock:
            pages = list(self._pages.values())
        for on_change in pages:
            on_change()


class ChangeStream(Response):
    """The answer that tells one page of changes until the page is gone, or ``end`` is set."""

    media_type = "text/event-stream"

    def __init__(self, changes: Changes, end: asyncio.Event | None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._changes = changes
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a line after every change, and one now and then without any."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()

        async def until_gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        def on_change() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(changed.set)

        async def send_text(text: str, *, is_last: bool = False) -> None:
            body = {"type": "http.response.body", "body": text.encode(), "more_body": not is_last}
            await send(body)

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        gone = asyncio.create_task(until_gone())
        over = [gone] if self._end is None else [gone, asyncio.create_task(self._end.wait())]
        try:
            await send_text(f"retry: {RETRY}\n\n")
            with self._changes.telling(on_change):
                while not any(task.done() for task in over):
                    changed.clear()
                    await send_text(f"data: {self._changes.seen}\n\n")
                    next_change = asyncio.create_task(changed.wait())
                    await asyncio.wait(
                        [next_change, *over],
                        timeout=KEEP_ALIVE,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    next_change.cancel()
            if not gone.done():
                await send_text("", is_last=True)
        finally:
            for task in over:
                task.cancel()
