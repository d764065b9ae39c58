"""The thread that calls a pod's hooks, so that none of them can hold up or end the pod."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from queue import SimpleQueue
from typing import Any, Final, NamedTuple

from fleet_q.services.app.callables import is_awaitable
from fleet_q.services.app.hooks import Hook, HookEvent
from fleet_q.services.app.middleware import name_of
from fleet_q.services.worker.careful_log import CarefulLogger
from fleet_q.services.worker.runners.forked import end_if_forked, this_process

log: Final = CarefulLogger("fleet_q.hooks")

MOST_WAITING: Final = 10_000
"""The most events that wait for hooks; further ones are dropped."""

MOST_BYTES: Final = 64 * 1024 * 1024
"""About how many bytes the steps of these events have, at most; one event may wait in any case."""

CLOSE_WITHIN: Final = 5.0
"""Seconds that hooks have at the end of a pod, for what has happened before."""

WARN_EVERY: Final = 60.0
"""Seconds between two warnings that events were dropped."""


class _Call(NamedTuple):
    hooks: Sequence[Hook]
    make: Callable[[], HookEvent | None]
    size: int


class HookThread:
    """Calls hooks one after the other, in the order of the events. Async hooks run on ``loop``, or
    without one on a loop of the thread's own; the next hook is called once they have ended.

    Whatever a hook raises is logged. While a hook does not return, events wait, up to
    ``MOST_WAITING`` of them; then they are dropped, and a warning says how many.
    """

    def __init__(self, pod_id: str, loop: asyncio.AbstractEventLoop | None) -> None:
        self._pod_id = pod_id
        self._loop = loop
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()  # guards the numbers
        self._waiting = 0
        self._bytes = 0
        self._dropped = 0
        self._warned_at = -WARN_EVERY
        self._running = ""
        self._thread: threading.Thread | None = None

    def put(self, hooks: Sequence[Hook], make: Callable[[], HookEvent | None], size: int) -> None:
        """Have ``hooks`` called with the event that ``make`` makes, of a step of so many bytes.
        Does not wait, and raises nothing."""
        if not self._admit(size):
            return
        self._queue.put(_Call(hooks, make, size))
        if self._thread is None:
            self._start()

    def catch_up(self) -> None:
        """Wait until the hooks are called for all events so far, for up to ``CLOSE_WITHIN``."""
        if self._thread is not None:
            called = threading.Event()
            self.put((), called.set, 0)
            called.wait(CLOSE_WITHIN)

    def close(self) -> None:
        """Wait until the hooks are called for all events so far, for up to ``CLOSE_WITHIN``."""
        thread = self._thread
        if thread is None:
            return
        self._queue.put(None)
        thread.join(CLOSE_WITHIN)
        if thread.is_alive():
            log.warning(
                "hook %s has not ended; it and %d event(s) are left behind",
                self._running,
                max(0, self._waiting - 1),
                extra=self._tags(),
            )

    def _admit(self, size: int) -> bool:
        with self._lock:
            is_full = self._waiting and self._bytes + size > MOST_BYTES
            if self._waiting < MOST_WAITING and not is_full:
                self._waiting += 1
                self._bytes += size
                return True
            self._dropped += 1
            now = time.monotonic()
            if now - self._warned_at < WARN_EVERY:
                return False
            self._warned_at, dropped, self._dropped = now, self._dropped, 0
        log.warning(
            "hooks are too slow: dropped %d event(s), while hook %s runs",
            dropped,
            self._running,
            extra=self._tags(),
        )
        return False

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="fleet-q-hooks", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError, OSError) as error:
            log.error("hooks cannot be called: %s", error, extra=self._tags())
        else:
            self._thread = thread

    def _work(self) -> None:
        process = this_process()
        runner = asyncio.Runner()  # it makes its loop when it is first used
        while (call := self._queue.get()) is not None:
            try:
                self._call_all(call, runner, process)
            except BaseException as error:  # of making the event, or raised by another thread
                log.error("hooks were not called", exc_info=error, extra=self._tags())
            with self._lock:
                self._waiting -= 1
                self._bytes -= call.size
        runner.close()

    def _call_all(self, call: _Call, runner: asyncio.Runner, process: object) -> None:
        event = call.make()
        for hook in call.hooks:
            assert event is not None
            self._running = name_of(hook)
            contextvars.Context().run(self._call, hook, event, runner, process)

    def _call(self, hook: Hook, event: HookEvent, runner: asyncio.Runner, process: object) -> None:
        try:
            result = hook(event)
            if is_awaitable(result):
                self._await(result, runner, process)
            end_if_forked(process)
        except BaseException as error:
            end_if_forked(process, error)
            log.error(
                "hook %s failed for %r",
                self._running,
                event.name,
                exc_info=error,
                extra={**self._tags(), "step": event.step.step_id},
            )

    def _await(self, awaitable: Awaitable[Any], runner: asyncio.Runner, process: object) -> None:
        loop = self._loop
        ended = _ended(awaitable, process)
        try:
            if loop is None:
                error = runner.run(ended)
            else:
                error = asyncio.run_coroutine_threadsafe(ended, loop).result()
        except BaseException:
            ended.close()
            if asyncio.iscoroutine(awaitable):
                awaitable.close()
            raise
        if error is not None:
            raise error

    def _tags(self) -> dict[str, object]:
        return {"pod": self._pod_id}


async def _ended(awaitable: Awaitable[Any], process: object) -> BaseException | None:
    """Await, and return what it raises: SystemExit would stop the loop."""
    try:
        await awaitable
        end_if_forked(process)
    except BaseException as error:
        end_if_forked(process, error)
        return error
    return None
