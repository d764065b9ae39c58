"""Fleet, what a test does with its app: it runs steps, moves the clock, and looks at both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.errors import InvalidInput
from fleet_q.core.inbox import Intake
from fleet_q.core.lifecycle import FINAL
from fleet_q.core.retry import micros
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.running import Run
from fleet_q.services.app.starting import AppParts
from fleet_q.services.app.views import StepView
from fleet_q.services.testing.clock import Clock, Duration, Moment, micros_of, seconds_of
from fleet_q.services.testing.pod import PodInTests, RunInTests
from fleet_q.services.testing.submitted import AnyTask, called, listed, name_of, selected


class Fleet:
    """The app under test, with a store in memory, one pod, and a clock that stands still.

    Functions take no time on that clock. Steps run when a method here runs them, or at once while
    :meth:`inline` is in force; ``app.wait`` and ``task.result`` run what they wait for.
    """

    def __init__(self, app: FleetQ, pod: PodInTests, clock: Clock, store: MemoryStore) -> None:
        self.app = app
        self._pod = pod
        self._clock = clock
        self._store = store

    @property
    def now(self) -> datetime:
        """The time of the store, in UTC."""
        return self._clock.moment

    def drain(self, until: Moment | None = None) -> list[StepView]:
        """Run steps until none is left that is due or becomes due: retries, snoozes and delayed
        steps too, for which the clock moves on. Schedules fire at the times that pass. Return the
        steps that ended meanwhile.

        With ``until``, run what is due until that time, and end there; also what schedules submit,
        which have no end. Raises :class:`InvalidInput` after 10,000 attempts, or if ``until`` is
        past.
        """
        return self._run(self._limit(until), None)

    def advance(self, duration: Duration) -> list[StepView]:
        """Let so much time pass, in seconds or as ``"90m"`` or a ``timedelta``, and run what
        becomes due meanwhile. Return the steps that ended."""
        return self._run(self._clock.now + micros(seconds_of(duration)), None)

    async def drain_async(self, until: Moment | None = None) -> list[StepView]:
        """Like :meth:`drain`, in a thread; async functions run on the running event loop."""
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(self._run, self._limit(until), loop)

    async def advance_async(self, duration: Duration) -> list[StepView]:
        """Like :meth:`advance`, in a thread; async functions run on the running event loop."""
        limit = self._clock.now + micros(seconds_of(duration))
        return await asyncio.to_thread(self._run, limit, asyncio.get_running_loop())

    @contextmanager
    def inline(self) -> Iterator[None]:
        """Run steps as soon as they are submitted, during the body of ``with``: when ``submit``
        returns, the step has been attempted, and what it submits, spawns or lets run, too.

        The clock stands still: what is delayed, put off or retried later runs when the clock is
        moved. What a function raises makes its attempt fail, and not ``submit``.
        """
        was_inline, self._pod.is_inline = self._pod.is_inline, True
        try:
            self._pod.work_arrived()
            yield
        finally:
            self._pod.is_inline = was_inline

    def steps(self) -> list[StepView]:
        """All steps, in the order of their submission, as they are now."""
        with self._store.database.read() as tx:
            steps = tx.steps(list(self._store.database.step_log))
        return [StepView.of(step) for step in steps.values()]

    def submitted(self, task: AnyTask, /, **arguments: Any) -> list[StepView]:
        """The steps of ``task``, itself or its task type, with these arguments, in the order of
        their submission. They may have other arguments, too."""
        return selected(self.steps(), task, arguments)

    def assert_submitted(self, task: AnyTask, /, **arguments: Any) -> StepView:
        """Fail unless a step of ``task`` was submitted with these arguments, and perhaps others;
        return it, the last one if there are several. Steps that have run count, too."""
        __tracebackhide__ = True  # pytest shows the line of the test instead
        steps = self.steps()
        if found := selected(steps, task, arguments):
            return found[-1]
        wanted = called(name_of(task), arguments)
        raise AssertionError(f"no step {wanted} was submitted; {listed(steps)}")

    def refute_submitted(self, task: AnyTask, /, **arguments: Any) -> None:
        """Fail if a step of ``task`` was submitted with these arguments, and perhaps others."""
        __tracebackhide__ = True
        if found := self.submitted(task, **arguments):
            wanted = called(name_of(task), arguments)
            raise AssertionError(f"a step {wanted} was submitted; {listed(found)}")

    def dead_letters(self) -> list[StepView]:
        """The steps that failed for good, in the order of their submission."""
        return [step for step in self.steps() if step.status == "failed"]

    def assert_no_dead_letters(self) -> None:
        """Fail if a step failed for good, and show its traceback."""
        __tracebackhide__ = True
        if failed := self.dead_letters():
            traces = "\n".join(step.traceback or step.error or "" for step in failed)
            raise AssertionError(f"{listed(failed)}\n{traces}")

    def _limit(self, until: Moment | None) -> int | None:
        return None if until is None else micros_of(until)

    def _run(self, limit: int | None, loop: asyncio.AbstractEventLoop | None) -> list[StepView]:
        if limit is not None and limit < self._clock.now:
            raise InvalidInput(f"until is past: it is {self.now.isoformat()}")
        database = self._store.database
        before = {step_id for status in FINAL for step_id in database.by_status[status]}
        self._pod.run_until(limit, loop=loop)
        if limit is not None:
            self._clock.now = max(self._clock.now, limit)
        return [step for step in self.steps() if step.is_final and step.step_id not in before]


@contextmanager
def isolated(app: FleetQ, *, at: Moment | None = None, inline: bool = False) -> Iterator[Fleet]:
    """Test ``app`` during the body of ``with``: whatever its store is, a new one in memory stands
    in for it, and one pod that the test runs. The app keeps its settings, and gets its store back.

    ``at`` is the time at which the clock stands, by default the present second. With ``inline``,
    steps run as soon as they are submitted (:meth:`Fleet.inline`). Raises :class:`InvalidInput` if
    the app runs a pod or is tested already.
    """
    clock = Clock(at)
    stores: list[MemoryStore] = []
    pods: list[PodInTests] = []

    def new_store(intake: Intake) -> MemoryStore:
        stores.append(MemoryStore(clock.store_time, intake))
        return stores[0]

    def new_run(parts: AppParts) -> Run:
        pods.append(PodInTests(parts, clock))
        return RunInTests(pods[0], clock)

    with app.on_store_with(new_store, new_run):
        fleet = Fleet(app, pods[0], clock, stores[0])
        try:
            if inline:
                with fleet.inline():
                    yield fleet
            else:
                yield fleet
        finally:
            pods[0].close()


def fixture(
    app: FleetQ | Callable[[], FleetQ], *, at: Moment | None = None, inline: bool = False
) -> Callable[..., Iterator[Fleet]]:
    """Make a pytest fixture that tests ``app``, or the app that ``app()`` returns, as
    :func:`isolated` does. In ``conftest.py``: ``fleet = fixture(app)``."""
    import pytest

    @pytest.fixture
    def fleet() -> Iterator[Fleet]:
        """The app under test, with a store in memory and a clock that the test moves."""
        with isolated(app if isinstance(app, FleetQ) else app(), at=at, inline=inline) as fleet:
            yield fleet

    return fleet
