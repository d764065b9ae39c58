"""How a child process finds a task.

A child imports what the pod's process imported: the module of ``--app``, or the one in whose
import the app was made, and the one in whose import the task was registered. In the app it finds
the task by its name. If no import makes the app or registers the task, the function itself is
taken, provided that in the pod it is what its module has under its name.
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
"""What ``multiprocessing`` needs to import the main module in a child process."""


class Address(msgspec.Struct):
    """Where a task is: in the app that ``reference`` (``module:app``) names, else in the app that
    ``module`` made as its ``number``-th, once ``task_module`` is imported too; else it is
    ``function`` (``module:name``). ``store`` is the app's URL, if it has one."""

    task: str
    reference: str | None
    module: str | None
    number: int
    task_module: str | None
    function: str | None
    store: str | None


def address_of(task: Task[Any, Any]) -> Address:
    """The address of a task of this process."""
    app = task.app
    return Address(
        task=str(task.name),
        reference=app.reference,
        module=app.made_in and app.made_in.module,
        number=app.number,
        task_module=task.registered_in and task.registered_in.module,
        function=_name_of(task.function),
        store=app.url,
    )


def _name_of(function: Any) -> str | None:
    """``module:name`` of a function, if it is what the module has under that name."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name:
        return None
    found = attribute(sys.modules.get(module), name)
    return f"{module}:{name}" if function_of(found) is function else None


def attribute(found: Any, path: str) -> Any:
    """What ``path``, names between dots, leads to from ``found``; ``None`` if nothing."""
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def function_of(found: Any) -> Any:
    """The function of a task; anything else as it is."""
    return found.function if isinstance(found, Task) else found


def preparation() -> dict[str, Any]:
    """What a :class:`Finder` needs to know of this process."""
    data = spawn.get_preparation_data("fleet-q")
    return {key: data[key] for key in (*_PATH, *MAIN_KEYS * can_import_main()) if key in data}
