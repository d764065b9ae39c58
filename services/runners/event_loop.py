"""Async functions, as tasks on the event loop that the pod was started from."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial

from fleet_q.core.step import Outcome
from fleet_q.services.attempt import Attempt
from fleet_q.services.runners.job import Began, Job, Queue
from fleet_q.services.runners.slots import Slots


class EventLoop(Queue):
    """The loop is woken once for many jobs."""

    def __init__(
        self,
        slots: Slots,
        done: Callable[[Outcome], None],
        began: Began,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(slots, done, began)
        self._loop = loop
        self._tasks: dict[Attempt, asyncio.Task[None]] = {}
        self._called = False  # as in Threads

    def pull(self) -> None:
        """Wake the loop, unless it is being woken."""
        if self._called:
            return
        self._called = True
        try:
            self._loop.call_soon_threadsafe(self._start_all)
        except RuntimeError as closed:
            self._fail_all(closed)

    def abandon(self, job: Job) -> None:
        """Cancel its task."""
        try:
            self._loop.call_soon_threadsafe(self._cancel, job.attempt)
        except RuntimeError:  # the loop is closed, so nothing runs
            self._slots.free(job.attempt)

    def close(self) -> None:
        """Nothing is left to do: what ran has been abandoned."""

    def _cancel(self, attempt: Attempt) -> None:
        self._slots.free(attempt)
        task = self._tasks.pop(attempt, None)
        if task is not None:
            task.cancel()

    def _start_all(self) -> None:
        self._called = False
        while (job := self._next()) is not None:
            call = self._run(job)
            try:
                task = self._loop.create_task(call, context=contextvars.Context())
                self._tasks[job.attempt] = task
                task.add_done_callback(partial(self._ended, job.attempt))
            except BaseException as error:  # the loop may have a task factory of its own
                call.close()
                self._slots.free(job.attempt)
                self._done(job.attempt.failed(error))

    def _fail_all(self, closed: RuntimeError) -> None:
        """The service whose loop it was has ended without its pod."""
        self.trouble = f"async functions cannot run: {closed}"
        self._called = False
        while (job := self._next()) is not None:
            self._slots.free(job.attempt, announce=False)
            self._done(job.attempt.failed(closed))

    def _ended(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        """A task that is cancelled before its first step never enters ``_run``."""
        if self._tasks.pop(attempt, None) is not None:
            self._slots.free(attempt)
            self._done(attempt.failed(asyncio.CancelledError()))

    async def _run(self, job: Job) -> None:
        attempt = job.attempt
        attempt.begin()
        try:
            outcome = attempt.succeeded(await job.call())
        except asyncio.CancelledError as error:
            self._done(attempt.failed(error))
            raise
        except BaseException as error:  # nor must it end the loop, and the pod with it
            outcome = attempt.failed(error)
        finally:
            self._tasks.pop(attempt, None)
            self._slots.free(attempt)
        self._done(outcome)
