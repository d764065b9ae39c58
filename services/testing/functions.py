"""The functions of a tested app: one runs at a time, plain ones in the thread of the test."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from fleet_q.core.retry import RetryPolicy
from fleet_q.core.step import Outcome, Step
from fleet_q.core.worker.functions import Claim
from fleet_q.services.app.callables import is_awaitable
from fleet_q.services.app.tasks import Registry
from fleet_q.services.worker.attempt import Attempt
from fleet_q.services.worker.loop_thread import LoopThread
from fleet_q.services.worker.runners.job import Job, job_order


class PodKilled(BaseException):
    """Raised by a function, or by what a test lets it call: its pod dies at this point, as if its
    process were killed. It starts again, and its leader recovers the step."""


class FunctionsInTests:
    """Runs the functions of ``registry`` when it is told to (:meth:`run_next`). No virtual time
    passes meanwhile, so no claim grows old and no function runs out of time.

    A plain function runs in the thread that calls :meth:`run_next`, so that it sees the test's
    patches, and what it uses need not be thread-safe. So does one that has a process in a pod. But
    if an event loop runs in that thread, it runs in another, since it may call ``asyncio.run``. An
    async function runs on ``loop``, by default one in a thread of its own.
    """

    def __init__(
        self,
        registry: Registry,
        retry_policy: RetryPolicy,
        max_result_bytes: int,
        on_outcome: Callable[[Outcome], None],
        new_attempt: Callable[[Step, RetryPolicy, int], Attempt],
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._registry = registry
        self._retry_policy = retry_policy
        self._max_result_bytes = max_result_bytes
        self._on_outcome = on_outcome
        self._new_attempt = new_attempt
        self._waiting: list[Job] = []
        self._own_loop: LoopThread | None = None

    @property
    def has_next(self) -> bool:
        """Whether a function waits to run."""
        return bool(self._waiting)

    def run_next(self) -> None:
        """Run the next function and report its outcome. Raises what is not for the step: an
        interrupt from the keyboard, or an outcome of pytest such as that of ``pytest.fail``; the
        attempt fails then."""
        job = self._waiting.pop(0)
        try:
            outcome = self._run(job)
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            outcome = job.attempt.failed(error)
        except PodKilled:
            raise
        except BaseException as error:
            self._on_outcome(job.attempt.failed(error))
            raise
        self._on_outcome(outcome)

    def _run(self, job: Job) -> Outcome:
        if job.task.where == "loop":
            return self._on_loop(_run_async(job))
        if not _has_running_loop():
            return contextvars.Context().run(self._run_plain, job)
        done: Future[Outcome] = Future()

        def run() -> None:
            try:
                done.set_result(contextvars.Context().run(self._run_plain, job))
            except BaseException as error:
                done.set_exception(error)

        threading.Thread(target=run, name="fleet-q-test", daemon=True).start()
        return done.result()

    def _run_plain(self, job: Job) -> Outcome:
        job.attempt.begin()
        result = job.call()
        if is_awaitable(result):
            return self._on_loop(_end_async(job, result))
        return job.attempt.succeeded(result)

    def _on_loop(self, coroutine: Any) -> Outcome:
        loop = self.loop
        if loop is None:
            if self._own_loop is None:
                self._own_loop = LoopThread().__enter__()
            loop = self._own_loop.loop
        run = asyncio.run_coroutine_threadsafe
        outcome: Future[Outcome] = contextvars.Context().run(run, coroutine, loop)
        return outcome.result()

    # The port of a pod's functions

    trouble = None
    used = 0
    """See :class:`fleet_q.services.worker.pod_thread.PodFunctions`, for both."""

    should_pull = False
    """See :class:`fleet_q.core.worker.functions.Functions`, also for all methods that follow."""

    def start(self, steps: Sequence[Step], begin_by: float, ahead: float = 0.0) -> None:
        for step in steps:
            attempt = self._new_attempt(step, self._retry_policy, self._max_result_bytes)
            try:
                task = self._registry.task_of(step)
            except Exception as error:
                self._on_outcome(attempt.failed(error))
                continue
            self._waiting.append(Job(attempt, task, begin_by))
        self._waiting.sort(key=job_order)

    def confirm(self, begin_by: float) -> None:
        pass

    def pull(self) -> None:
        pass

    def withdraw(self, keep: int) -> list[Claim]:
        withdrawn = [(job.attempt.step.step_id, job.attempt.claim_token) for job in self._waiting]
        del self._waiting[keep:]
        return withdrawn[keep:]

    def take_stuck(self, before: float) -> list[Claim]:
        return []

    def forget(self, step_id: str, claim_token: str) -> None:
        pass

    def abandon(self, step_id: str, claim_token: str) -> None:
        self._waiting = [
            job
            for job in self._waiting
            if (job.attempt.step.step_id, job.attempt.claim_token) != (step_id, claim_token)
        ]

    def close(self) -> None:
        self._waiting.clear()
        if self._own_loop is not None:
            self._own_loop.__exit__(None, None, None)
            self._own_loop = None


async def _run_async(job: Job) -> Outcome:
    job.attempt.begin()
    return await _end_async(job, job.call())


async def _end_async(job: Job, result: Any) -> Outcome:
    while is_awaitable(result):
        result = await result
    return job.attempt.succeeded(result)


def _has_running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
