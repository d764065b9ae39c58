"""Where functions run: threads, the event loop, or processes of their own.

A runner is told of attempts by the pod's thread and hands every outcome to ``done``, from whatever
thread it comes to be in. To abandon an attempt is to stop it as far as its kind can be stopped.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import multiprocessing
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from pebble import ProcessExpired, ProcessPool

from fleet_q.core.step import Outcome, Step
from fleet_q.core.submission import to_json
from fleet_q.services.attempt import Attempt, Failing, described
from fleet_q.services.context import PermanentFailure, StepContext, current
from fleet_q.services.tasks import Registry, Task

Done = Callable[[Outcome], None]
Job = tuple[Attempt, Callable[[], Any]]


class Runners:
    """Runs every step's function where it belongs."""

    def __init__(
        self,
        registry: Registry,
        *,
        failing: Failing,
        done: Done,
        loop: asyncio.AbstractEventLoop,
        processes: int,
    ) -> None:
        self._registry = registry
        self._failing = failing
        self._done = done
        self._threads = _Threads(done)
        self._loop = _Loop(done, loop)
        self._processes = _Processes(done, processes)
        self._abandoning: dict[tuple[str, str], Callable[[], None]] = {}

    def start(self, step: Step) -> None:
        """Begin an attempt. Whatever is wrong with the step becomes its outcome."""
        attempt = Attempt(step, self._failing)
        try:
            task = self._registry.find(step)
            call = task.bound(step)
        except PermanentFailure as error:
            self._done(attempt.failed(error))
            return
        match task.where:
            case "thread":
                abandon = self._threads.start(attempt, call)
            case "loop":
                abandon = self._loop.start(attempt, call)
            case "process":
                abandon = self._processes.start(attempt, task)
        self._abandoning[step.step_id, attempt.claim_token] = abandon

    def forget(self, step_id: str, claim_token: str) -> None:
        """The attempt has ended by itself."""
        self._abandoning.pop((step_id, claim_token), None)

    def abandon(self, step_id: str, claim_token: str) -> None:
        """Stop an attempt, or at least tell it."""
        abandon = self._abandoning.pop((step_id, claim_token), None)
        if abandon is not None:
            abandon()

    def close(self) -> None:
        """Stop whatever can be stopped. Threads end with the function that they run."""
        for claim in list(self._abandoning):
            self.abandon(*claim)
        self._threads.close()
        self._processes.close()


class _Threads:
    """Daemon threads: a function that never returns keeps its thread, but neither another step's
    nor the process from ending.

    Threads are called one by one: whoever takes a job calls the next thread first if more jobs
    wait. A function that blocks is overtaken at once; functions that return at once are run one
    after the other by the same thread, since waking a thread costs more than they do.
    """

    def __init__(self, done: Done) -> None:
        self._done = done
        self._jobs: deque[Job] = deque()
        self._idle: SimpleQueue[None] = SimpleQueue()  # as many as threads wait for the bell
        self._bell: SimpleQueue[bool] = SimpleQueue()
        self._called = False  # a thread has been called and has not come yet
        self._count = 0

    def start(self, attempt: Attempt, call: Callable[[], Any]) -> Callable[[], None]:
        self._jobs.append((attempt, call))
        self._call_one()
        return attempt.context.cancel

    def close(self) -> None:
        for _ in range(self._count):
            self._bell.put(False)

    def _call_one(self) -> None:
        if self._called:
            return
        self._called = True
        try:
            self._idle.get_nowait()
        except Empty:
            self._count += 1
            name = f"fleet-q-step-{self._count}"
            threading.Thread(target=self._work, name=name, daemon=True).start()
        self._bell.put(True)

    def _work(self) -> None:
        while self._bell.get():
            # A job is appended before a thread is called, and this is taken back before a job is
            # looked for: whoever found a thread called already may rely on its finding the job.
            self._called = False
            while self._jobs:
                try:
                    attempt, call = self._jobs.popleft()
                except IndexError:  # another thread was faster
                    break
                if self._jobs:
                    self._call_one()
                contextvars.Context().run(self._run, attempt, call)
            self._idle.put(None)

    def _run(self, attempt: Attempt, call: Callable[[], Any]) -> None:
        attempt.begin()
        try:
            outcome = attempt.succeeded(call())
        except BaseException as error:  # sys.exit() in a function must not end its thread
            outcome = attempt.failed(error)
        self._done(outcome)


class _Loop:
    """Tasks on the event loop that the pod was started from; it is woken once for many."""

    def __init__(self, done: Done, loop: asyncio.AbstractEventLoop) -> None:
        self._done = done
        self._loop = loop
        self._jobs: deque[Job] = deque()
        self._tasks: dict[Attempt, asyncio.Task[None]] = {}
        self._called = False  # as in _Threads

    def start(self, attempt: Attempt, call: Callable[[], Any]) -> Callable[[], None]:
        self._jobs.append((attempt, call))
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._start_all)
        return partial(self._abandon, attempt)

    def _abandon(self, attempt: Attempt) -> None:
        attempt.context.cancel()
        self._loop.call_soon_threadsafe(self._cancel, attempt)

    def _cancel(self, attempt: Attempt) -> None:
        task = self._tasks.pop(attempt, None)
        if task is not None:
            task.cancel()

    def _start_all(self) -> None:
        self._called = False
        while self._jobs:
            attempt, call = self._jobs.popleft()
            task = self._loop.create_task(self._run(attempt, call), context=contextvars.Context())
            self._tasks[attempt] = task

    async def _run(self, attempt: Attempt, call: Callable[[], Any]) -> None:
        attempt.begin()
        try:
            outcome = attempt.succeeded(await call())
        except asyncio.CancelledError as error:
            self._done(attempt.failed(error))
            raise
        except BaseException as error:  # nor must it end the loop, and the pod with it
            outcome = attempt.failed(error)
        finally:
            self._tasks.pop(attempt, None)
        self._done(outcome)


class _Processes:
    """Processes that a timeout or a cancellation ends; started when the first is needed."""

    def __init__(self, done: Done, most: int) -> None:
        self._done = done
        self._most = most
        self._pool: ProcessPool | None = None

    def start(self, attempt: Attempt, task: Task[Any, Any]) -> Callable[[], None]:
        if self._pool is None:
            self._pool = ProcessPool(self._most, context=multiprocessing.get_context("spawn"))
        function = task.function
        future = self._pool.schedule(
            _run_in_process, (function.__module__, function.__qualname__, attempt.step)
        )
        future.add_done_callback(partial(self._ended, attempt))
        return future.cancel

    def close(self) -> None:
        if self._pool is not None:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()

    def _ended(self, attempt: Attempt, future: Any) -> None:
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
    module: str, qualname: str, step: Step
) -> tuple[str | None, str | None, str | None, bool]:
    """What the child does: find the function again, call it, send back what can be sent."""
    found: Any = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    current.set(StepContext(step.step_id, step.attempt))
    try:
        result = found.bound(step)()
    except BaseException as error:
        return None, *described(error), isinstance(error, PermanentFailure)
    try:
        return to_json(result, "the result"), None, None, False
    except ValueError as error:
        return None, *described(error), True
