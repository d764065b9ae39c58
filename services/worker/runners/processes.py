"""The runner of ``process=True`` functions: child processes, which a timeout or cancellation kills.

One thread with an event loop communicates with all of them.
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
from functools import partial
from typing import Final

from fleet_q.core.errors import ClaimLost, StoreError, StoreUnavailable
from fleet_q.core.step import Outcome, SaveCheckpoint
from fleet_q.services.app.settings import Settings
from fleet_q.services.worker.attempt import Attempt
from fleet_q.services.worker.logs import is_configured
from fleet_q.services.worker.runners.address import address_of, preparation
from fleet_q.services.worker.runners.child_logs import levels
from fleet_q.services.worker.runners.child_process import ChildEnded, ChildProcess
from fleet_q.services.worker.runners.job import Job, OnBegan, Queue
from fleet_q.services.worker.runners.pool import Pool
from fleet_q.services.worker.runners.slots import Slots
from fleet_q.services.worker.runners.wire import Ended, Run, Save, Saved, Start

log = logging.getLogger("fleet_q.process")

IMPORT_WITHIN: Final = 300.0
"""Seconds that a child has to import a task."""

START_AGAIN_AFTER: Final = 0.5
"""Seconds between a failed start of a child and the next attempt."""

PATIENCE: Final = 30.0
"""Seconds that steps wait while no child can be started; after them their attempts fail."""

CLOSE_WITHIN: Final = 2.0
"""Seconds that the end of a pod waits for its children to end."""


class Processes(Queue):
    """Runs up to ``FLEET_Q_MAX_PROCESSES`` functions at once, each in a child process. ``trouble``
    tells why no child can be started."""

    _begins_at_once = False  # a child must start and import the task before

    def __init__(
        self,
        slots: Slots,
        on_outcome: Callable[[Outcome], None],
        on_began: OnBegan,
        pod_id: str,
        settings: Settings,
    ) -> None:
        super().__init__(slots, on_outcome, on_began)
        self._trouble_since = 0.0
        self._not_before = 0.0
        self._most = settings.max_processes or _cores()
        self._pod_id = pod_id
        self._settings = settings
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_waking = False  # as in Threads
        self._is_closed = False
        self._pool = Pool(self._start_message)
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[Attempt, ChildProcess] = {}

    @property
    def can_begin(self) -> bool:
        """See :class:`~fleet_q.services.worker.runners.job.Runner`."""
        return super().can_begin and len(self._tasks) < self._most and self._may_start()

    def pull(self) -> None:
        """Wake or start the thread, unless a wake-up is under way."""
        with self._lock:
            if self._is_waking or self._is_closed:
                return
            self._is_waking = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._start_jobs)
                return
            if self._thread is not None:  # it starts jobs once its loop runs
                return
            self._thread = threading.Thread(
                target=self._live, name="fleet-q-processes", daemon=True
            )
            try:
                self._thread.start()
            except (RuntimeError, MemoryError, OSError) as error:
                self._thread, self._is_waking = None, False
                self.trouble = f"no thread can be started: {error}"

    def abandon(self, job: Job) -> None:
        """Kill the child that runs the job."""
        self._slots.free(job.attempt)
        with self._lock:  # or the child might run another job by now
            if child := self._running.get(job.attempt):
                child.kill()

    def close(self) -> None:
        """End all children; those that run a function are killed."""
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
                if self._on_start_failed(error):
                    self._fail_waiting()
                time.sleep(START_AGAIN_AFTER)
                continue
            with asyncio.Runner(loop_factory=lambda: loop) as runner:  # noqa: B023
                try:
                    runner.run(self._serve())
                except BaseException as error:  # another thread has raised it in this one
                    log.error(
                        "the thread that controls child processes is started again: %s",
                        type(error).__name__,
                    )
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
        self._is_waking = False
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
            except BaseException as error:  # an error of the pod fails the attempt too
                outcome = attempt.failed(error)
            if outcome is not None and not attempt.context.cancelled:
                self._on_outcome(outcome)
        finally:
            self._tasks.discard(asyncio.current_task())
            self._slots.free(attempt)
            self._start_jobs()

    async def _attempt(self, job: Job) -> Outcome | None:
        """Run a job in a child. ``None`` if it was abandoned, or was queued again."""
        attempt = job.attempt
        run = Run(attempt.step, address_of(job.task), asks_to_begin=job.records_start)
        while not attempt.context.cancelled:
            try:
                child = await self._pool.take()
                is_new = child.is_new
                ended = await self._run_in_child(child, run, job)
            except OSError as error:
                if self._on_start_failed(error):
                    return attempt.failed_with(str(self.trouble), None)
                self.jobs.appendleft(job)
                return None
            except ChildEnded as error:
                if error.before_function and not is_new:
                    continue  # it died while idle; the job runs in another child
                return attempt.failed_with(str(error), None)
            self.trouble = None
            if ended.result is not None:
                return attempt.returned(ended.result, ended.children, ended.detached)
            if ended.snooze is not None:
                return attempt.snoozed(ended.snooze)
            return attempt.failed_with(
                ended.error or "the function failed",
                ended.traceback,
                permanent=ended.permanent,
                kinds=ended.kinds,
            )
        return None

    async def _run_in_child(self, child: ChildProcess, run: Run, job: Job) -> Ended:
        attempt = job.attempt
        loop = asyncio.get_running_loop()
        limit = loop.call_later(
            IMPORT_WITHIN, child.kill, f"importing the task took longer than {IMPORT_WITHIN:g} s"
        )

        def on_began() -> None:
            limit.cancel()
            self.trouble = None
            attempt.began()
            self._report_began(job)

        with self._lock:
            self._running[attempt] = child
        try:
            if attempt.context.cancelled:  # before the child was in self._running
                child.kill()
            report = partial(
                job.task.app.report_progress, attempt.step.step_id, attempt.claim_token
            )
            return await child.run(run, job.record_start, on_began, partial(_save, job), report)
        finally:
            limit.cancel()
            with self._lock:
                del self._running[attempt]
            self._pool.put_back(child)

    def _on_start_failed(self, error: OSError) -> bool:
        """Record that no child can be started, and schedule another attempt. Returns whether this
        has lasted for ``PATIENCE``, so that waiting steps must fail."""
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
                self._on_outcome(job.attempt.failed_with(str(self.trouble), None))
            finally:
                self._slots.free(job.attempt, announce=False)

    def _start_message(self) -> Start:
        logs_prints = is_configured() and logging.root.isEnabledFor(logging.INFO)
        return Start(self._pod_id, self._settings, levels(), preparation(), logs_prints)


def _save(job: Job, save: Save) -> Saved:
    """Store the checkpoint that the function of ``job`` saves."""
    attempt, step = job.attempt, job.attempt.step
    command = SaveCheckpoint(step.step_id, attempt.claim_token, save.checkpoint, save.version)
    try:
        job.task.app.save_checkpoint(command, step.claimed_by)
    except ClaimLost:
        return Saved(is_lost=True)
    except StoreError as error:
        return Saved(error=str(error), is_unavailable=isinstance(error, StoreUnavailable))
    return Saved()


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop. Raises ``OSError`` if there are no descriptors for it. They are tested first,
    because a loop whose creation fails prints another error when it is collected."""
    selector = selectors.DefaultSelector()
    try:
        for end in socket.socketpair():
            end.close()
    except OSError:
        selector.close()
        raise
    return asyncio.SelectorEventLoop(selector)


def _cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
