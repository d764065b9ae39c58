"""Finds the module that made an app or registered a task, for child processes to import."""

from __future__ import annotations

import ast
import inspect
import os
import sys
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from fleet_q.core.errors import InvalidInput

MAIN: Final = "__main__"
MAIN_IN_CHILD: Final = "__mp_main__"
"""The name under which ``multiprocessing`` imports the main script in a child process."""

is_child = False
"""Whether this is a child process that runs steps' functions; such a process runs no pod."""

_made: dict[tuple[str, int], weakref.ref[object]] = {}
_counts: Counter[str] = Counter()


class Origin(NamedTuple):
    """A module and the line of its body that was running."""

    module: str
    line: int


def origin() -> Origin | None:
    """Return the innermost module on the call stack whose body is running.

    ``None`` in a thread or callback, whose stack contains no module body. Code that ``exec`` runs
    looks like a module's body, but is no module that a child process could import.
    """
    frame = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if frame.f_code.co_name == "<module>" and name in sys.modules:
            return Origin(MAIN if name == MAIN_IN_CHILD else name, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def number_app(app: object, made_in: Origin | None) -> int:
    """Number a new app among those that its module makes, from 0; :func:`made` returns it."""
    if made_in is None:
        return 0
    number = _counts[made_in.module]
    _counts[made_in.module] += 1
    _made[made_in.module, number] = weakref.ref(app)
    return number


def made(module: str, number: int) -> object | None:
    """Return app ``number``, from 0, of those that ``module`` made; ``None`` if there is none."""
    app = _made.get((module, number))
    return None if app is None else app()


def check_findable(function: Callable[..., Any], registered_in: Origin | None) -> None:
    """Raise :class:`InvalidInput` if a child process could not find the function by importing."""
    if is_child or (registered_in is not None and _is_imported(*registered_in)):
        return  # a child looks for it now, or importing the module will register it again
    name = getattr(function, "__qualname__", "<none>")
    if "<" in name:  # <lambda>, or <locals> of another function
        raise InvalidInput(
            "a child process finds a function by its name, and this one has none: define it at the"
            " top level of a module, or register it while its module is imported"
        )
    if not _is_imported(function.__module__, _line_of(function)):
        raise InvalidInput(
            "a child process imports the main module only from a file, and without the code under"
            ' if __name__ == "__main__": move the function out of there'
        )


def can_import_main() -> bool:
    """Whether the main module was run by ``-m`` or from a file, not typed interactively."""
    main = sys.modules[MAIN]
    return getattr(main, "__spec__", None) is not None or os.path.isfile(
        getattr(main, "__file__", None) or ""
    )


def _line_of(function: Callable[..., Any]) -> int:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return 0 if code is None else int(code.co_firstlineno)


def _is_imported(module: str, line: int) -> bool:
    """Whether this line of the body runs when a child process imports ``module``."""
    if module != MAIN:
        return True
    if not can_import_main():
        return False
    with open(sys.modules[MAIN].__file__ or "", "rb") as file:
        body = ast.parse(file.read()).body
    return not any(
        isinstance(statement, ast.If)
        and statement.lineno <= line <= (statement.end_lineno or 0)
        and "'__name__'" in ast.dump(statement.test)
        for statement in body
    )
