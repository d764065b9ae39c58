"""Functions in processes of their own, which a timeout or a cancellation ends.

One thread with an event loop talks to all of them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from fleet_q.core.step import Outcome
from fleet_q.services.app.settings import Settings
from fleet_q.services.worker.attempt import Attempt
from fleet_q.services.worker.runners.address import address_of, preparation
from fleet_q.services.worker.runners.child_logs import levels
from fleet_q.services.worker.runners.child_process import ChildEnded, ChildProcess
from fleet_q.services.worker.runners.job import Began, Job, Queue
from fleet_q.services.worker.runners.pool import Pool
from fleet_q.services.worker.runners.slots import Slots
from fleet_q.services.worker.runners.wire import Ended, Run, Start

log = logging.getLogger("fleet_q.process")

IMPORT_WITHIN: Final = 300.0
"""Seconds that a child has to import a task."""

START_AGAIN_AFTER: Final = 0.5
"""Seconds until another child is started after one could not be."""

PATIENCE: Final = 30.0
"""Seconds for which steps wait while no child can be started; then their attempts fail."""

CLOSE_WITHIN: Final = 2.0
"""Seconds that children may take to end with their pod."""


class Processes(Queue):
    """Runs ``FLEET_Q_MAX_PROCESSES`` functions at once, at most. ``trouble`` says why no process
    can be started."""

    _begins_at_once = False  # a process has to be there first, and to import the task

    def __init__(
        self,
        slots: Slots,
        done: Callable[[Outcome], None],
        began: Began,
        pod_id: str,
        settings: Settings,
    ) -> None:
        super().__init__(slots, done, began)
        self._trouble_since = 0.0
        self._not_before = 0.0
        self._most = settings.max_processes or _cores()
        self._pod_id = pod_id
        self._settings = settings
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._called = False  # as in Threads
        self._is_closed = False
        self._pool = Pool(self._start_message)
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[Attempt, ChildProcess] = {}

    @property
    def can_begin(self) -> bool:
        """See :class:`~fleet_q.services.worker.runners.job.Runner`."""
        return super().can_begin and len(self._tasks) < self._most and self._may_start()

    def pull(self) -> None:
        """Wake the thread, unless it is being woken."""
        with self._lock:
            if self._called or self._is_closed:
                return
            self._called = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._start_jobs)
                return
            if self._thread is not None:  # it will look for jobs when it has its loop
                return
            self._thread = threading.Thread(
                target=self._live, name="fleet-q-processes", daemon=True
            )
            try:
                self._thread.start()
            except (RuntimeError, MemoryError, OSError) as error:
                self._thread, self._called = None, False
                self.trouble = f"no thread can be started: {error}"

    def abandon(self, job: Job) -> None:
        """Kill its process."""
        self._slots.free(job.attempt)
        with self._lock:  # or the process might have another job by now
            if child := self._running.get(job.attempt):
                child.kill()

    def close(self) -> None:
        """End all processes, at once those that run a function."""
        with self._lock:
            self._is_closed = True
            for child in self._running.values():
                child.kill()
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._closing.set)
            thread = self._thread
        if thread is not None:
            thread.join(CLOSE_WITHIN)

    def _live(self) -> None:
        while not self._is_closed:
            try:
                loop = new_loop()
            except OSError as error:
                if self._is_lasting(error):
                    self._fail_waiting()
                time.sleep(START_AGAIN_AFTER)
                continue
            with asyncio.Runner(loop_factory=lambda: loop) as runner:  # noqa: B023
                try:
                    runner.run(self._serve())
                except BaseException as error:  # another thread has raised it in this one
                    log.error("the thread of the processes begins anew: %s", type(error).__name__)
                with self._lock:
                    self._loop = None
            if not self._is_closed:
                self._pool.kill()
                self._pool = Pool(self._start_message)
                time.sleep(START_AGAIN_AFTER)

    async def _serve(self) -> None:
        with self._lock:
            if self._is_closed:
                return
            self._loop = asyncio.get_running_loop()
            self._closing = asyncio.Event()  # of this loop
        self._start_jobs()
        await self._closing.wait()
        with self._lock:
            self._loop = None
        await self._pool.close()

    def _start_jobs(self) -> None:
        if self._loop is None:
            return
        self._called = False
        if not self.jobs:
            self.trouble = None
        while len(self._tasks) < self._most and self._may_start():
            job = self._next()
            if job is None:
                return
            self._tasks.add(asyncio.get_running_loop().create_task(self._run(job)))

    def _may_start(self) -> bool:
        is_time = self._pool.has_idle or time.monotonic() >= self._not_before
        return is_time and not self._is_closed

    async def _run(self, job: Job) -> None:
        attempt = job.attempt
        try:
            try:
                outcome = await self._attempt(job)
            except BaseException as error:  # the pod's own trouble is an outcome too
                outcome = attempt.failed(error)
            if outcome is not None and not attempt.context.cancelled:
                self._done(outcome)
        finally:
            self._tasks.discard(asyncio.current_task())
            self._slots.free(attempt)
            self._start_jobs()

    async def _attempt(self, job: Job) -> Outcome | None:
        """Run a job in a child; ``None`` if it was abandoned, or waits again."""
        attempt = job.attempt
        run = Run(attempt.step, address_of(job.task), asks_to_begin=job.records_start)
        while not attempt.context.cancelled:
            try:
                child = await self._pool.take()
                is_new = child.is_new
                answer = await self._answer(child, run, job)
            except OSError as error:
                if self._is_lasting(error):
                    return attempt.failed_with(str(self.trouble), None)
                self.jobs.appendleft(job)
                return None
            except ChildEnded as ended:
                if ended.before_function and not is_new:
                    continue  # it died while it had nothing to do, which harms no step
                return attempt.failed_with(str(ended), None)
            self.trouble = None
            if answer.result is not None:
                return attempt.returned(answer.result)
            error_text = answer.error or "the function failed"
            return attempt.failed_with(error_text, answer.traceback, permanent=answer.permanent)
        return None

    async def _answer(self, child: ChildProcess, run: Run, job: Job) -> Ended:
        attempt = job.attempt
        loop = asyncio.get_running_loop()
        limit = loop.call_later(
            IMPORT_WITHIN, child.kill, f"importing the task took longer than {IMPORT_WITHIN:g} s"
        )

        def on_began() -> None:
            limit.cancel()
            self.trouble = None
            self._tell_began(job)

        with self._lock:
            self._running[attempt] = child
        try:
            if attempt.context.cancelled:  # just before abandon() could know of the child
                child.kill()
            return await child.run(run, job.record_start, on_began)
        finally:
            limit.cancel()
            with self._lock:
                del self._running[attempt]
            self._pool.put_back(child)

    def _is_lasting(self, error: OSError) -> bool:
        """Note that nothing can be started, and plan to try again; whether that has been so for
        too long to let steps wait."""
        now = time.monotonic()
        if self.trouble is None:
            self._trouble_since = now
            log.warning("no process can be started: %s; trying again", error)
        self.trouble = f"no process can be started: {error}"
        self._not_before = now + START_AGAIN_AFTER
        if self._loop is not None:
            self._loop.call_later(START_AGAIN_AFTER, self._start_jobs)
        return now - self._trouble_since >= PATIENCE

    def _fail_waiting(self) -> None:
        while (job := self._next()) is not None:
            try:
                self._done(job.attempt.failed_with(str(self.trouble), None))
            finally:
                self._slots.free(job.attempt, announce=False)

    def _start_message(self) -> Start:
        return Start(self._pod_id, self._settings, levels(), preparation())


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop; ``OSError`` if there are no descriptors for it, of which one that is made in
    vain would complain once more."""
    selector = selectors.DefaultSelector()
    try:
        for end in socket.socketpair():
            end.close()
    except OSError:
        selector.close()
        raise
    return asyncio.SelectorEventLoop(selector)


def _cores() -> int:
    """How many cores there are for this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
