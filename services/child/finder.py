"""Finds the task at an address, in a child process."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from multiprocessing import spawn
from typing import Any

from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.origin import MAIN, MAIN_IN_CHILD, made
from fleet_q.services.app.tasks import Task
from fleet_q.services.worker.runners.address import MAIN_KEYS, Address, attribute, function_of


class NotFound(Exception):
    """No task is found at an address."""


class Finder:
    """Finds tasks in a child process. ``on_app`` is called with every app before it is used."""

    def __init__(self, preparation: dict[str, Any], on_app: Callable[[FleetQ, Address], None]):
        self._on_app = on_app
        self._main: dict[str, Any] = {
            key: preparation.pop(key) for key in MAIN_KEYS if key in preparation
        }
        self._tasks: dict[str, Task[Any, Any]] = {}
        spawn.prepare(preparation)

    def task(self, address: Address) -> Task[Any, Any]:
        """The task at ``address``. Raises :class:`NotFound` if it is not found, and what the
        imported modules raise."""
        if address.task not in self._tasks:
            self._tasks[address.task] = self._find(address)
        return self._tasks[address.task]

    def _find(self, address: Address) -> Task[Any, Any]:
        app = self._app(address)
        for module in address.around_modules:
            self._import(module)
        found = app.around.names() if app is not None else ()
        if found != address.around:
            raise NotFound(
                f"task {address.task!r}: a process finds other middleware ({_listed(found)}) than"
                f" the pod has ({_listed(address.around)}); make the app and add the middleware at"
                " the top of a module, neither in a function nor under"
                ' if __name__ == "__main__"'
            )
        return self._task_in(app, address)

    def _task_in(self, app: FleetQ | None, address: Address) -> Task[Any, Any]:
        if app is not None:
            self._on_app(app, address)
            task = app.registered(address.task)
            if task is None and address.task_module is not None:
                self._import(address.task_module)
                task = app.registered(address.task)
            if task is not None:
                return task
        if address.function is not None:
            return self._task_of_function(address, address.function, app)
        where = address.task_module or address.module or "its module"
        raise NotFound(
            f"task {address.task!r}: a process cannot find it after importing {where}; make the"
            " app and register the task at the top of a module, neither in a function nor under"
            ' if __name__ == "__main__"'
        )

    def _app(self, address: Address) -> FleetQ | None:
        if address.reference is not None:
            module, _, name = address.reference.partition(":")
            app: object = getattr(self._import(module), name, None)
        elif address.module is not None:
            self._import(address.module)
            app = made(address.module, address.number)
        else:
            return None
        return app if isinstance(app, FleetQ) else None

    def _task_of_function(
        self, address: Address, function: str, app: FleetQ | None
    ) -> Task[Any, Any]:
        module, _, name = function.partition(":")
        task_function = function_of(attribute(self._import(module), name))
        if not callable(task_function):
            raise NotFound(f"task {address.task!r}: a process finds no function {function}")
        if app is None:
            app = FleetQ()
            self._on_app(app, address)
        task = Task(app, address.task, task_function, max_retries=None, timeout=None, process=False)
        task.called = app.around.round(task.function)
        return task

    def _import(self, module: str) -> Any:
        if module != MAIN:
            return importlib.import_module(module)
        spawn.prepare(self._main)
        self._main = {}
        return sys.modules.get(MAIN_IN_CHILD)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
