"""The app: register functions on it, submit steps to it, run its loops anywhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ParamSpec, TypeVar

from fleet_q.adapters import fork
from fleet_q.core.errors import InvalidInput
from fleet_q.core.ports import Store
from fleet_q.services.app import origin as origins
from fleet_q.services.app.admin import Admin
from fleet_q.services.app.queue import Queue
from fleet_q.services.app.running import Run
from fleet_q.services.app.settings import Settings
from fleet_q.services.app.starting import start_pod
from fleet_q.services.app.tasks import Task, check_name
from fleet_q.services.worker.pod_thread import Pod

P = ParamSpec("P")
R = TypeVar("R")


class FleetQ(Queue, Admin):
    """A task queue in ``store``: a URL, or an open store; by default the settings' own.

    Nothing is opened before the first use, but a relative path is one of the folder that is current
    now. Its methods may be called from any thread; each is one
    short transaction, so in a coroutine ``asyncio.to_thread`` them if the store is far away.
    """

    def __init__(
        self, store: str | Store | None = None, *, settings: Settings | None = None
    ) -> None:
        super().__init__(store, settings)
        self._lock = threading.Lock()  # one pod at a time
        self.reference: str | None = None
        """``module:app``, if the command line found it so."""
        self.made_in = origins.origin()
        self.number = origins.number_app(self, self.made_in)
        fork.call_in_child(self._begin_in_child)

    def task(
        self,
        name: str,
        *,
        max_retries: int | None = None,
        timeout: float | None = None,
        process: bool = False,
    ) -> Callable[[Callable[P, R]], Task[P, R]]:
        """Register the decorated function for steps whose ``task_type`` is ``name``.

        The other keys of the payload are its arguments, what it returns (JSON) the step's result.
        ``max_retries`` goes with every step submitted here, by default the settings' own. After
        ``timeout`` seconds an attempt fails: an async function is cancelled, a process ended; a
        thread cannot be, its function only finds ``current_step().cancelled``. ``process`` runs
        a function of a module in a process of its own, for what would hold the interpreter.
        Raises :class:`InvalidInput` if the name is taken, or an option makes no sense.
        """
        check_name(name)

        def register(function: Callable[P, R]) -> Task[P, R]:
            task = Task(
                self, name, function, max_retries=max_retries, timeout=timeout, process=process
            )
            self._registry.add(task)
            return task

        return register

    def executor(self, function: Callable[[dict[str, Any]], R]) -> Callable[[dict[str, Any]], R]:
        """Register a function for every step that no other is registered for.

        It is called with the step as a row: ``STEP_ID``, ``PAYLOAD``, ``RETRY_COUNT`` and so on.
        """
        task = Task(self, None, function, max_retries=None, timeout=None, process=False)
        self._registry.add(task)
        return function

    def registered(self, name: str) -> Task[Any, Any] | None:
        """The task that is registered under exactly this name."""
        return self._registry.named(name)

    def use(
        self,
        *,
        store: str | None = None,
        settings: Settings | None = None,
        create: bool = True,
    ) -> None:
        """Before the first use, take another store or other settings than those of the code.
        With ``create`` false, a store that does not exist is an error."""
        self._connection.use(store, settings, create)

    def close(self) -> None:
        """Close the store that the client's methods opened."""
        self._connection.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Pod]:
        """Run a pod while the body runs: ``async with app.running(): ...``, also as a lifespan.

        Async functions run on this event loop. On leaving, the pod drains. Raises what opening
        the store raises; what ends the pod later is in its ``error``.
        """
        run = self._new_run(asyncio.get_running_loop())
        try:
            pod = await run.begun()
        except BaseException:
            run.leave(0)
            raise
        try:
            yield pod
        finally:
            run.leave()
            await run.drained()

    @contextmanager
    def running_on(self, loop: asyncio.AbstractEventLoop) -> Iterator[Pod]:
        """The same for a thread without an event loop; async functions run on ``loop``."""
        run = self._new_run(loop)
        try:
            yield run.begin()
        finally:
            run.leave()
            run.over.wait()

    def _new_run(self, loop: asyncio.AbstractEventLoop) -> Run:
        if origins.is_child:
            raise InvalidInput(
                "a process that imports the app to run a step runs no pod; put what does under"
                ' if __name__ == "__main__"'
            )
        with self._lock:
            if self._run is not None and not self._run.is_leaving:
                raise InvalidInput("this app runs a pod already")
            self._run = Run(
                lambda: start_pod(self._connection, self._registry, loop), after=self._run
            )
            return self._run

    def _begin_in_child(self) -> None:
        """The pod lives in the parent, and so do the threads that may have held the lock."""
        self._lock = threading.Lock()
        self._connection.begin_in_child()
        if self._run is not None:
            self._run.stay_with_the_parent()
            self._run = None
