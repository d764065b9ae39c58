"""The address of a task, by which a child process finds it.

A child imports the module of ``--app``, or the module whose import created the app, and the module
whose import registered the task. It then looks the task up in the app by its name. If no import
creates the app or registers the task, the child calls the function itself, provided that its module
holds it under its own name.
"""

from __future__ import annotations

import sys
from multiprocessing import spawn
from typing import Any, Final

import msgspec

from fleet_q.services.app.origin import can_import_main
from fleet_q.services.app.tasks import Task

_PATH: Final = ("sys_path", "sys_argv", "orig_dir")
MAIN_KEYS: Final = ("init_main_from_name", "init_main_from_path")
"""Keys of the preparation data by which ``multiprocessing`` imports the main module in a child."""


class Address(msgspec.Struct):
    """Where a task is found. ``reference`` (``module:app``) names its app; without one, the app is
    number ``number`` of those that ``module`` created. ``task_module`` registers the task.
    ``function`` (``module:name``) is used if the app lacks the task. ``store`` is the app's URL,
    if it has one. ``around`` are the names of the app's middleware, ``around_modules`` the modules
    that add it."""

    task: str
    reference: str | None
    module: str | None
    number: int
    task_module: str | None
    function: str | None
    store: str | None
    around: tuple[str, ...] = ()
    around_modules: tuple[str, ...] = ()


def address_of(task: Task[Any, Any]) -> Address:
    """The address of ``task``, which is registered in this process."""
    app = task.app
    return Address(
        task=str(task.name),
        reference=app.reference,
        module=app.made_in and app.made_in.module,
        number=app.number,
        task_module=task.registered_in and task.registered_in.module,
        function=_name_of(task.function),
        store=app.url,
        around=app.around.names(),
        around_modules=app.around.modules(),
    )


def _name_of(function: Any) -> str | None:
    """``module:name`` of ``function``; ``None`` if that names something else."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name:
        return None
    value = attribute(sys.modules.get(module), name)
    return f"{module}:{name}" if function_of(value) is function else None


def attribute(value: Any, path: str) -> Any:
    """The attribute of ``value`` at ``path``, names separated by dots; ``None`` if missing."""
    for name in path.split("."):
        value = getattr(value, name, None)
    return value


def function_of(value: Any) -> Any:
    """The function of a task; any other value unchanged."""
    return value.function if isinstance(value, Task) else value


def preparation() -> dict[str, Any]:
    """What a child's ``Finder`` needs of this process: the import path and the main module."""
    data = spawn.get_preparation_data("fleet-q")
    return {key: data[key] for key in (*_PATH, *MAIN_KEYS * can_import_main()) if key in data}
