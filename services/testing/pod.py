"""The pod of a tested app: the program of every pod, run by the test instead of a thread."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import FleetQError, InvalidInput
from fleet_q.core.pod import PodDescription
from fleet_q.core.ports import SyncResult
from fleet_q.core.retry import micros
from fleet_q.core.step import is_expired
from fleet_q.core.worker.program import Wait
from fleet_q.services.app.context import current
from fleet_q.services.app.running import Run
from fleet_q.services.app.starting import AppParts
from fleet_q.services.testing.clock import Clock
from fleet_q.services.testing.functions import FunctionsInTests, PodKilled
from fleet_q.services.worker.hook_observer import HookObserver, WatchedAttempt, WatchedAttempts
from fleet_q.services.worker.pod_thread import Pod

POD_ID: Final = "test-pod"

MOST_ATTEMPTS: Final = 10_000
"""Attempts that one call runs, at most: a step that submits itself again would run for ever."""

MOST_LOOKS: Final = 100_000
"""How often one call moves the clock, at most."""


class PodInTests(Pod):
    """Runs the steps of an app in the memory of a test, in the order of claims, one at a time, and
    moves the clock to the time at which the next one is due.

    It is a :class:`Pod` that never starts a thread: whoever calls :meth:`run_due` or
    :meth:`run_until` runs its program. It serves all queues, and prunes nothing, so that a test
    sees all that happened.
    """

    def __init__(self, parts: AppParts, clock: Clock) -> None:
        store = parts.connection.store()
        assert isinstance(store, MemoryStore)
        self.is_inline = False
        """Whether a step runs as soon as it was submitted."""
        self._parts = parts
        self._memory = store
        self._virtual = clock
        self._chance = random.Random(0).random
        self._lock = threading.Lock()  # held by the thread that runs the program
        self._runs_in: int | None = None
        self._arrived = threading.Event()
        self._left = 0
        self._begin()
        self.run_due()

    def _begin(self) -> None:
        """Begin a life of the pod."""
        parts = self._parts
        registry = parts.registry
        settings = replace(
            parts.connection.settings,
            max_parallelism=1,
            capacity_threshold=1.0,
            prefetch=0,
            prune_after=None,
        )
        watched = WatchedAttempts()
        self._hooks = HookObserver(POD_ID, registry.hooks, None, watched)

        def new_functions(pod: Pod) -> FunctionsInTests:
            return FunctionsInTests(
                registry,
                pod.machine.retry_policy,
                settings.max_result_bytes,
                pod.tell,
                partial(WatchedAttempt, watched),
            )

        def describe() -> PodDescription:
            types = registry.routes(None).task_types
            return PodDescription(POD_ID, None, slots=1, queues=None, task_types=types)

        super().__init__(
            POD_ID,
            self._memory,
            settings,
            new_functions,
            routes=lambda: registry.routes(None),
            describe=describe,
            declared=parts.declared,
            observers=[self._hooks],
            clock=self._virtual.seconds,
            chance=self._chance,
        )
        assert isinstance(self._functions, FunctionsInTests)
        self._runner = self._functions
        self._looked: tuple[int, int] | None = None
        self._claim = SyncResult(self._virtual.now)
        self._running = self._program.run()
        self._command = next(self._running)

    @property
    def trouble(self) -> str | None:
        """Always ``None``: the pod runs when it is told to."""
        return None

    def work_arrived(self) -> None:
        """A step was submitted: run it now, if that is wanted. If another thread runs the pod, that
        one runs the step."""
        if self.is_inline:
            self._arrived.set()
            self._run_arrived()

    def run_due(self) -> None:
        """Run all that is due now."""
        with self._alone():
            self._run_due()

    def run_until(
        self,
        limit: int | None,
        *,
        is_over: Callable[[], bool] = lambda: False,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Run all that is due now or becomes due until the time ``limit``, in microseconds, or
        ``is_over()``. Without a limit, until no step is left that becomes due by itself; schedules
        fire meanwhile. Async functions run on ``loop``."""
        with self._alone():
            self._runner.loop = loop
            self._run_due()
            for _ in range(MOST_LOOKS):
                at = None if is_over() else self._next_at(until_work=limit is None)
                if at is None or (limit is not None and at > limit):
                    return
                if at <= self._virtual.now:  # only the pod knows when it tries again
                    assert isinstance(self._command, Wait)
                    at = self._virtual.at(self._command.until)
                self._virtual.now = at if limit is None else min(at, limit)
                self._run_due()
            raise InvalidInput(
                f"the clock was moved {MOST_LOOKS} times, to {self._virtual.moment}; pass until="
            )

    def close(self) -> None:
        """End the pod, as if its process were killed."""
        self._running.close()
        self._functions.close()
        self._hooks.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let this thread run the program."""
        if current.get() is not None or self._runs_in == threading.get_ident():
            raise InvalidInput("the function of a step cannot run other steps; call this outside")
        with self._lock:
            self._runs_in, self._left = threading.get_ident(), MOST_ATTEMPTS
            try:
                yield
            finally:
                self._runs_in = self._runner.loop = None
        self._run_arrived()

    def _run_arrived(self) -> None:
        while self._arrived.is_set() and self._lock.acquire(blocking=False):
            try:
                self._arrived.clear()
                self._runs_in, self._left = threading.get_ident(), MOST_ATTEMPTS
                self._run_due()
            finally:
                self._runs_in = None
                self._lock.release()

    def _run_due(self) -> None:
        while True:
            self._go_on()
            self._hooks.catch_up()  # they may submit steps
            looked = (self._virtual.now, self._memory.change_counter())
            if looked == self._looked:
                return
            self._looked = looked
            self.tell(self.machine.work_arrived)

    def _go_on(self) -> None:
        """Run the program until it waits for a later time."""
        while True:
            command = self._command
            if not isinstance(command, Wait):
                self._carry_out(command)
                continue
            messages = list(self._wait(0))
            if not messages and self._runner.has_next:
                self._run_next()
                continue
            if not messages and command.until > self._virtual.seconds():
                if not self._program.held:
                    return
                self._virtual.now = self._virtual.at(command.until)  # its outcomes wait for others
            self._resume(partial(self._running.send, messages))

    def _run_next(self) -> None:
        if self._left == 0:
            raise InvalidInput(
                f"{MOST_ATTEMPTS} attempts were run in one call; does a step submit itself, or put"
                " itself off, for ever? Pass until="
            )
        self._left -= 1
        loop = self._runner.loop
        try:
            self._runner.run_next()
        except PodKilled:
            self.close()
            self._begin()
            self._runner.loop = loop

    def _carry_out(self, call: StoreCall) -> None:
        try:
            result: Any = call.on(self._memory)
        except Exception as error:
            self._resume(partial(self._running.throw, error))
            return
        if isinstance(result, SyncResult) and call.args[0].claim:
            self._claim = result
        self._resume(partial(self._running.send, result))

    def _resume(self, resume: Callable[[], StoreCall | Wait]) -> None:
        try:
            self._command = resume()
        except StopIteration:
            raise self.error or FleetQError("the pod of the test has ended") from None

    def _next_at(self, *, until_work: bool) -> int | None:
        """When something happens next: a step becomes due or expires, or a schedule fires. With
        ``until_work``, ``None`` if only schedules fire."""
        times = {self._claim.next_due, self._next_expiry(), self._next_recovery()} - {None}
        if until_work and not times:
            return None
        with self._memory.database.read() as tx:
            times.add(tx.next_firing())
        return min((time for time in times if time is not None), default=None)

    def _next_recovery(self) -> int | None:
        """When the pod looks next whether to recover the steps of its earlier lives."""
        steps, claimed = self._memory.database.steps, self._memory.database.by_status["claimed"]
        if not any(steps[step_id].claimed_by == POD_ID for step_id in claimed):
            return None
        assert isinstance(self._command, Wait)
        return self._virtual.at(self._command.until)

    def _next_expiry(self) -> int | None:
        steps = self._memory.database.steps
        return min(
            (
                at + 1
                for at, step_id in self._memory.database.deadlines
                if (step := steps.get(step_id)) is not None and is_expired(step, at + 1)
            ),
            default=None,
        )


class RunInTests(Run):
    """The run of a tested app: its pod runs when the test says so, whoever starts or ends it."""

    is_shared = True

    def __init__(self, pod: PodInTests, clock: Clock) -> None:
        super().__init__(lambda: pod, None)
        self.pod = self._in_tests = pod
        self._clock = clock
        self.ended.set()

    def start(self) -> Pod:
        """See :class:`Run`, also for all methods that follow."""
        return self._in_tests

    async def start_async(self) -> Pod:
        return self._in_tests

    def before_wait(self, timeout: float | None, is_over: Callable[[], bool]) -> float | None:
        limit = None if timeout is None else self._clock.now + micros(timeout)
        self._in_tests.run_until(limit, is_over=is_over)
        return 0.0

    def drain(self, grace: float | None = None) -> None:
        pass

    async def wait_ended(self) -> None:
        pass
