"""Functions in processes of their own, which a timeout or a cancellation ends."""

from __future__ import annotations

import importlib
import multiprocessing
from concurrent.futures import CancelledError
from functools import partial
from typing import Any

from pebble import ProcessExpired, ProcessPool

from fleet_q.core.step import Step
from fleet_q.services.attempt import Attempt, result_text
from fleet_q.services.context import PermanentFailure, StepContext, current
from fleet_q.services.description import described
from fleet_q.services.runners.job import Job, Queue


class Processes(Queue):
    """A pool, started when the first process is needed."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._pool: ProcessPool | None = None
        self._futures: dict[Attempt, Any] = {}

    def pull(self) -> None:
        """Give the pool what there are slots for."""
        while (job := self._next()) is not None:
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPool(self._slots.most, context=context)
            function, attempt = job.task.function, job.attempt
            future = self._pool.schedule(
                _run_in_process,
                (
                    function.__module__,
                    function.__qualname__,
                    attempt.step,
                    attempt.max_result_bytes,
                ),
            )
            self._futures[attempt] = future
            future.add_done_callback(partial(self._ended, attempt))

    def abandon(self, job: Job) -> None:
        """End its process."""
        future = self._futures.get(job.attempt)
        if future is not None:
            future.cancel()

    def close(self) -> None:
        """End all processes."""
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()

    def _ended(self, attempt: Attempt, future: Any) -> None:
        self._futures.pop(attempt, None)
        self._slots.free(attempt)
        try:
            result, error, trace, permanent = future.result()
        except CancelledError:
            return
        except ProcessExpired as expired:
            self._done(attempt.failed_with(f"the step's process ended: {expired}", None))
        except Exception as unexpected:
            self._done(attempt.failed(unexpected))
        else:
            self._done(
                attempt.returned(result)
                if error is None
                else attempt.failed_with(error, trace, permanent=permanent)
            )


def _run_in_process(
    module: str, qualname: str, step: Step, max_result_bytes: int
) -> tuple[str | None, str | None, str | None, bool]:
    """What the child does: find the function again, call it, send back what can be sent."""
    found: Any = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    current.set(StepContext(step.step_id, step.attempt))
    try:
        result = found.bound(step)()
    except BaseException as error:
        return None, *described(error), issubclass(type(error), PermanentFailure)
    try:
        return result_text(result, max_result_bytes), None, None, False
    except BaseException as error:  # its encoding may run code of the result's own
        return None, *described(error), True
