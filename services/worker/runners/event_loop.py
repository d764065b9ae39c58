"""The runner of async functions: tasks on the event loop that the pod was started from."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

from fleet_q.core.step import Outcome
from fleet_q.services.app.callables import is_awaitable
from fleet_q.services.worker.attempt import Attempt
from fleet_q.services.worker.runners.forked import end_if_forked, this_process
from fleet_q.services.worker.runners.job import Job, OnBegan, Queue
from fleet_q.services.worker.runners.slots import Slots


class EventLoop(Queue):
    """Runs async functions. One wake-up of the loop starts every job that may begin."""

    def __init__(
        self,
        slots: Slots,
        on_outcome: Callable[[Outcome], None],
        on_began: OnBegan,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(slots, on_outcome, on_began)
        self._loop = loop
        self._process = this_process()
        self._tasks: dict[Attempt, asyncio.Task[None]] = {}
        self._is_waking = False  # as in Threads

    def pull(self) -> None:
        """Wake the loop, unless a wake-up is under way."""
        if self._is_waking:
            return
        self._is_waking = True
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
        """Do nothing: all tasks have been abandoned."""

    def _cancel(self, attempt: Attempt) -> None:
        self._slots.free(attempt)
        task = self._tasks.pop(attempt, None)
        if task is not None:
            task.cancel()

    def adopt(self, attempt: Attempt, awaitable: Awaitable[Any]) -> None:
        """Await what a function returned in a thread, with a copy of the current ``contextvars``
        context. The attempt has its slot already."""
        context = contextvars.copy_context()
        try:
            self._loop.call_soon_threadsafe(self._start_adopted, attempt, awaitable, context)
        except RuntimeError as closed:
            _close(awaitable)
            self._end(attempt, attempt.failed_in_pod(closed))

    def _start_adopted(
        self, attempt: Attempt, awaitable: Awaitable[Any], context: contextvars.Context
    ) -> None:
        if attempt.context.cancelled:
            _close(awaitable)
            self._end(attempt, None)
            return
        self._start(attempt, lambda: awaitable, context)
        self._loop.call_soon(self._check_begun, [attempt])

    def _start_all(self) -> None:
        self._is_waking = False
        started = []
        while (job := self._next()) is not None:
            self._start(job.attempt, job.call, contextvars.Context())
            started.append(job.attempt)
        if started:
            self._loop.call_soon(self._check_begun, started)

    def _start(
        self, attempt: Attempt, call: Callable[[], Any], context: contextvars.Context
    ) -> None:
        coroutine = self._run(attempt, call)
        try:
            self._tasks[attempt] = self._loop.create_task(coroutine, context=context)
        except BaseException as error:  # of the loop's task factory, which may not be asyncio's
            coroutine.close()
            self._end(attempt, attempt.failed_in_pod(error))

    def _check_begun(self, started: list[Attempt]) -> None:
        """Fail the attempts whose tasks were cancelled before they entered ``_run``. Called when
        the loop has run each task once."""
        for attempt in started:
            task = self._tasks.get(attempt)
            if task is not None and task.done():
                self._end(attempt, attempt.failed_in_pod(asyncio.CancelledError()))

    def _end(self, attempt: Attempt, outcome: Outcome | None) -> None:
        self._tasks.pop(attempt, None)
        self._slots.free(attempt)
        if outcome is not None:
            self._on_outcome(outcome)

    def _fail_all(self, closed: RuntimeError) -> None:
        """Fail all waiting jobs: the loop was closed while the pod still runs."""
        self.trouble = f"async functions cannot run: {closed}"
        self._is_waking = False
        while (job := self._next()) is not None:
            self._slots.free(job.attempt, announce=False)
            self._on_outcome(job.attempt.failed_in_pod(closed))

    async def _run(self, attempt: Attempt, call: Callable[[], Any]) -> None:
        attempt.begin()
        try:
            result = await call()
            while is_awaitable(result):
                result = await result
            end_if_forked(self._process)
            outcome = attempt.succeeded(result)
        except asyncio.CancelledError as error:
            end_if_forked(self._process, error)
            self._on_outcome(attempt.failed(error))
            raise
        except BaseException as error:  # SystemExit would stop the loop
            end_if_forked(self._process, error)
            outcome = attempt.failed(error)
        finally:
            self._tasks.pop(attempt, None)
            self._slots.free(attempt)
        self._on_outcome(outcome)


def _close(awaitable: object) -> None:
    """Close a coroutine, as Python warns of one that is never awaited."""
    if asyncio.iscoroutine(awaitable):
        awaitable.close()
