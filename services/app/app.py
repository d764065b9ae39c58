"""FleetQ, the app: registers functions, submits and manages steps, runs a pod."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from fleet_q.adapters import fork
from fleet_q.core.errors import InvalidInput
from fleet_q.core.inbox import Intake
from fleet_q.core.ports import Store
from fleet_q.core.retry import Strategy
from fleet_q.core.routing import Routes
from fleet_q.core.schedules import Definition
from fleet_q.services.app import origin as origins
from fleet_q.services.app.admin import Admin
from fleet_q.services.app.audit import Audit
from fleet_q.services.app.chosen_routes import chosen_routes
from fleet_q.services.app.claimed_step import Endings
from fleet_q.services.app.consumer import MOST_CLAIMED, Joining
from fleet_q.services.app.hooks import HookName, HookT, check_names
from fleet_q.services.app.leases import Leases
from fleet_q.services.app.middleware import Around
from fleet_q.services.app.queue import Queue
from fleet_q.services.app.retries import Errors, retries
from fleet_q.services.app.running import Run
from fleet_q.services.app.schedules import Declared, Schedules, TimedOptions
from fleet_q.services.app.search import Search
from fleet_q.services.app.settings import Settings
from fleet_q.services.app.starting import AppParts, start_pod, start_pod_by_hand
from fleet_q.services.app.tasks import Task, check_name
from fleet_q.services.app.workflows import Workflows
from fleet_q.services.worker.pod_metrics import PodMetrics
from fleet_q.services.worker.pod_thread import Pod

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

P = ParamSpec("P")
R = TypeVar("R")
AroundT = TypeVar("AroundT", bound=Around)


class FleetQ(Queue, Search, Admin, Audit):
    """A task queue in ``store``, a URL or an open store; by default the store of the settings.

    The store is opened at the first use. A relative path is resolved against the directory that
    is current when the app is made. The methods may be called from any thread and wait for the
    store, so a coroutine calls them with ``asyncio.to_thread`` if the store is remote.
    """

    def __init__(
        self, store: str | Store | None = None, *, settings: Settings | None = None
    ) -> None:
        super().__init__(store, settings)
        self._lock = threading.Lock()  # guards self._run: an app runs one pod at a time
        self._leases: Leases | None = None
        self._metrics: PodMetrics | None = None
        self._declared: list[Declared] = []
        self.reference: str | None = None
        """``module:app``, if the command line loaded the app by that name."""
        self.made_in = origins.origin()
        self.number = origins.number_app(self, self.made_in)
        self._connection.app_module = None if self.made_in is None else self.made_in.module
        fork.call_in_child(self._begin_in_child)

    def task(
        self,
        name: str,
        *,
        max_retries: int | None = None,
        timeout: float | None = None,
        process: bool = False,
        base_delay: float | None = None,
        max_delay: float | None = None,
        strategy: Strategy = "exponential",
        retry_on: Errors | None = None,
        give_up_on: Errors = (),
    ) -> Callable[[Callable[P, R]], Task[P, R]]:
        """Register the decorated function for steps whose ``task_type`` is ``name``.

        The other keys of the payload are the function's arguments; what it returns, a JSON value,
        is the step's result. ``max_retries`` applies to every step of this type that this app
        submits; by default the setting does. An attempt fails after ``timeout`` seconds: an async
        function is cancelled and a process is killed, but a thread cannot be stopped, so its
        function should check ``current_step().cancelled``. With ``process``, the function runs in
        a process of its own, for code that holds the interpreter's lock; it must be importable.

        A failed attempt is retried after a delay between half the longest and the longest, which
        is ``base_delay`` seconds after the first attempt, grows by ``strategy`` up to ``max_delay``
        seconds, and is that of the settings by default. ``strategy`` is "exponential", "linear",
        "fibonacci", as in ``with_backoff``, or a function that returns seconds for the number of
        the attempt that failed, from 1. Exceptions of the classes ``give_up_on``, and with
        ``retry_on`` all of other classes, are not retried; a timeout counts as ``TimeoutError``. An
        attempt that a pod did not finish, for example because it was killed, is always retried.

        Raises :class:`InvalidInput` if the name is taken or an option is out of range.
        """
        check_name(name)
        try:
            policy = retries(base_delay, max_delay, strategy, retry_on, give_up_on)
        except InvalidInput as error:
            raise InvalidInput(f"task {name!r}: {error}") from None

        def register(function: Callable[P, R]) -> Task[P, R]:
            task = Task(
                self,
                name,
                function,
                max_retries=max_retries,
                timeout=timeout,
                process=process,
                retries=policy,
            )
            self._registry.add(task)
            return task

        return register

    def schedule(
        self,
        cron: str | None = None,
        *,
        name: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        **options: Unpack[TimedOptions],
    ) -> Callable[[Callable[P, R]], Task[P, R]]:
        """Submit the decorated task at the times of ``cron``, five fields as in crontab, or
        ``every`` so many seconds: ``@app.schedule("0 2 * * *", tz="Europe/Berlin")`` above
        ``@app.task(...)``.

        :meth:`Schedules.put` describes the options. ``name`` is that of the schedule, by default
        that of the task; ``arguments`` are those that its function gets. A plain function becomes
        a task under its own name. Every pod that starts makes or changes the schedule so; it
        deletes none that other code has made. Raises :class:`InvalidInput`.
        """

        def declare(function: Callable[P, R]) -> Task[P, R]:
            task = (
                function if isinstance(function, Task) else self.task(function.__name__)(function)
            )
            assert task.name is not None
            schedule = Declared(name or task.name, task, arguments or {}, cron, options)
            schedule.check()
            if any(other.name == schedule.name for other in self._declared):
                raise InvalidInput(f"schedule {schedule.name!r} is declared twice; give it a name")
            self._declared.append(schedule)
            return task

        return declare

    @property
    def schedules(self) -> Schedules:
        """The schedules of the app's store."""
        return Schedules(lambda: self.store, self._acting, self._work_arrived, self.command)

    def _definitions(self) -> list[Definition]:
        return [schedule.definition(self.command) for schedule in self._declared]

    def executor(self, function: Callable[[dict[str, Any]], R]) -> Callable[[dict[str, Any]], R]:
        """Register the function for all steps whose type has no function of its own.

        Its argument is the step as a dict of columns: ``STEP_ID``, ``PAYLOAD``, ``RETRY_COUNT``...
        """
        task = Task(self, None, function, max_retries=None, timeout=None, process=False)
        self._registry.add(task)
        return function

    def on(self, *names: HookName) -> Callable[[HookT], HookT]:
        """Call the decorated function, plain or async, when one of these has happened to a step:
        ``@app.on("failed")``. It is given a :class:`HookEvent`.

        Of the steps that a pod of this app runs, or that a consumer claims, in its process:

        - ``claimed``: the pod has claimed the step.
        - ``completed``: its result is stored.
        - ``retried``: an attempt has failed, and another one follows.
        - ``failed``: an attempt has failed, and the step with it: no other follows.
        - ``snoozed``, ``released``: the step waits again, by its function or because of the pod.
        - ``lost``: the claim does not stand any more, as the step was cancelled or recovered.

        And where a pod of this app leads the fleet:

        - ``recovered``: a step of a dead pod waits for another attempt.
        - ``dead_letter``: a step of a dead pod has failed, as it had no tries left. Of the steps of
          this pod, every one that ``failed``. So one pod of the fleet is told of each.

        Hooks are called after the store has recorded the event, one after the other in a thread of
        their own, async ones on the event loop of the pod. What they raise is logged; while one
        does not return, events wait, and after 10,000 are dropped. A pod that is killed calls none
        for what it has just recorded. Hooks are added before the pod starts. Raises
        :class:`InvalidInput`.
        """
        check_names(names)

        def add(hook: HookT) -> HookT:
            self._registry.hooks.add(names, hook)
            return hook

        return add

    def middleware(self, around: AroundT) -> AroundT:
        """Call the decorated function round the function of every step of this app.

        It is given the :class:`StepContext` and ``call_next``, which calls the next middleware, or
        the function, and returns its result: ``return call_next()``. What it returns is the step's
        result; what it raises fails the attempt. It may call ``call_next`` once or not at all, and
        returns ``None`` only if the function did.

        An async middleware is called round async functions, and writes ``return await
        call_next()``; a plain one round all others, also in their child processes. The one that was
        added first is outermost. Raises :class:`InvalidInput`.
        """
        self._registry.add_middleware(around)
        return around

    def trace(self, tracer_provider: TracerProvider | None = None) -> None:
        """Make OpenTelemetry spans of this app's steps, where they are submitted and where they
        run, with ``tracer_provider``, by default the global one.

        Steps carry the context in which they were submitted as their label ``traceparent``. Call it
        once, before middleware is added that is to run within the span; where functions run in
        processes, at the top of the module. Raises :class:`InvalidInput` if OpenTelemetry is not
        installed.
        """
        if self.tracing is not None:
            raise InvalidInput("this app is traced already; call trace() once")
        try:
            from fleet_q.services.app.tracing import Tracing
        except ModuleNotFoundError as error:
            raise InvalidInput(
                f"traces need OpenTelemetry: pip install 'fleet-q[otel]' ({error})"
            ) from None
        self._registry.tracing = tracing = Tracing(tracer_provider)
        self._registry.add_middleware(tracing.around)
        self._registry.add_middleware(tracing.around_async)

    @property
    def workflows(self) -> Workflows:
        """The workflows in the app's store."""
        return Workflows(self)

    @property
    def runs_steps(self) -> bool:
        """Whether a function is registered, so that a pod of this app can run steps."""
        return not self._registry.is_empty

    @property
    def task_types(self) -> list[str]:
        """The names of the registered tasks, in order."""
        return self._registry.names

    def registered(self, name: str) -> Task[Any, Any] | None:
        """Return the task that is registered under exactly this name, or ``None``."""
        return self._registry.named(name)

    def use(
        self,
        *,
        store: str | None = None,
        settings: Settings | None = None,
        create: bool = True,
    ) -> None:
        """Replace the store or the settings that the app was made with, before its first use.

        With ``create`` false, a store that does not exist is an error.
        """
        self._connection.use(store, settings, create)

    def close(self) -> None:
        """Close the store that the methods of this app opened."""
        self._connection.close()

    def consumer(
        self,
        queues: Sequence[str] | None = None,
        task_types: Sequence[str] | None = None,
        *,
        slots: int | None = None,
    ) -> Joining:
        """Join the fleet as a pod that runs no functions: the caller claims steps and ends them.

        ``with app.consumer() as consumer:`` gives a :class:`Consumer`, and ``async with`` an
        :class:`AsyncConsumer`. It claims steps of these ``queues``, by default those of the
        settings, and of these ``task_types``, by default all; ``""`` is the type of steps without
        one. It holds at most ``slots`` steps at once, 1,000 by default. Its pod has an id of its
        own, so one process may have several; it keeps the heartbeat and takes part in recovery. At
        the end, it releases the steps that are still held and leaves.
        """
        routes = chosen_routes(self.settings, queues, task_types)
        return Joining(self._connection, self._registry, slots, routes)

    @property
    def leases(self) -> Leases | None:
        """The claims of the pod that :meth:`leasing` runs; ``None`` if it runs none."""
        leases = self._leases
        return leases if leases is not None and leases.pod is self.pod else None

    def measure(self) -> PodMetrics:
        """Return the counters of the pods that this app runs, kept from the next one that starts
        on. ``/metrics`` serves them."""
        if self._metrics is None:
            self._metrics = PodMetrics()
        return self._metrics

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Pod]:
        """Run a pod while the body of ``async with app.running():`` runs; also as a lifespan.

        Async functions run on the running event loop. At the end of the body the pod drains.
        Raises what opening the store raises; an error that ends the pod later is its ``error``.
        """
        run = self._new_run(partial(self._start_running, asyncio.get_running_loop()))
        try:
            pod = await run.start_async()
        except BaseException:
            run.drain(0)
            raise
        try:
            yield pod
        finally:
            run.drain()
            await run.wait_ended()

    @contextmanager
    def running_on(self, loop: asyncio.AbstractEventLoop) -> Iterator[Pod]:
        """Run a pod like :meth:`running`, from a thread; async functions run on ``loop``."""
        run = self._new_run(partial(self._start_running, loop))
        try:
            yield run.start()
        finally:
            run.drain()
            run.ended.wait()

    @contextmanager
    def leasing(self, task_types: Sequence[str] | None = None) -> Iterator[Pod]:
        """Run a pod that runs no functions: clients of the HTTP API claim steps, of these types, or
        all, and end them. At the end of the body it drains."""
        routes = chosen_routes(self.settings, None, task_types)
        run = self._new_run(partial(self._start_leasing, routes))
        try:
            yield run.start()
        finally:
            run.drain()
            run.ended.wait()

    def _start_leasing(self, routes: Routes) -> Pod:
        settings = self.settings
        metrics = self._metrics
        if metrics is not None:
            metrics.is_by_hand = True
        pod = start_pod_by_hand(
            self._connection,
            self._registry,
            MOST_CLAIMED,
            routes,
            settings.pod_id,
            metrics,
            [] if self.tracing is None else [self.tracing.of_leases()],
        )
        endings = Endings(
            pod.steps, self._registry, pod.machine.retry_policy, settings.max_result_bytes, self
        )
        self._leases = Leases(pod, endings)
        return pod

    def _start_running(self, loop: asyncio.AbstractEventLoop) -> Pod:
        return start_pod(self._connection, self._registry, loop, self._definitions(), self._metrics)

    @contextmanager
    def on_store_with(
        self, store: Callable[[Intake], Store], run: Callable[[AppParts], Run]
    ) -> Iterator[None]:
        """Use the open store that ``store`` makes, and the run that ``run`` makes for it, in place
        of the app's own during the body of ``with``; for ``fleet_q.testing``. Raises
        :class:`InvalidInput` if the app runs a pod."""
        with self._lock:
            before = self._connection, self._run
            if self._run is not None and not (self._run.ended.is_set() and not self._run.is_shared):
                raise InvalidInput("this app runs a pod, or is tested already; end that first")
            self._connection = self._connection.on(store)
            try:
                parts = AppParts(self._connection, self._registry, self._definitions())
                self._run = run(parts)
            except BaseException:
                self._connection, self._run = before
                raise
        try:
            yield
        finally:
            with self._lock:
                self._connection, self._run = before

    def _new_run(self, start: Callable[[], Pod]) -> Run:
        if origins.is_child:
            raise InvalidInput(
                "a child process that runs a step's function cannot run a pod; put the code that"
                ' runs the pod under if __name__ == "__main__"'
            )
        with self._lock:
            if self._run is not None and self._run.is_shared:
                return self._run
            if self._run is not None and not self._run.is_draining:
                raise InvalidInput("this app already runs a pod; make another app for a second one")
            self._run = Run(start, previous=self._run)
            return self._run

    def _begin_in_child(self) -> None:
        """Forget the pod in a forked child: its threads, which may hold the lock, are gone."""
        self._lock = threading.Lock()
        self._leases = None
        self._connection.begin_in_child()
        if self._run is not None:
            self._run.detach_in_child()
            self._run = None
