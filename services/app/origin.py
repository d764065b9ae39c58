"""The modules in whose code apps are made and tasks registered: what child processes import."""

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
"""The name under which ``multiprocessing`` imports a script in a child process."""

is_child = False
"""Whether this is a process that runs steps' functions; such a one runs no pod."""

_made: dict[tuple[str, int], weakref.ref[object]] = {}
_counts: Counter[str] = Counter()


class Origin(NamedTuple):
    """The module whose code was running, and the line that was."""

    module: str
    line: int


def origin() -> Origin | None:
    """The innermost module whose code calls this, directly or through functions; ``None`` in a
    thread or callback that no module waits for."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            name = str(frame.f_globals.get("__name__"))
            return Origin(MAIN if name == MAIN_IN_CHILD else name, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def number_app(app: object, made_in: Origin | None) -> int:
    """Count a new app among those that its module makes, from 0, so that :func:`made` finds it."""
    if made_in is None:
        return 0
    number = _counts[made_in.module]
    _counts[made_in.module] += 1
    _made[made_in.module, number] = weakref.ref(app)
    return number


def made(module: str, number: int) -> object | None:
    """The app that ``module`` made as its ``number``-th, from 0."""
    app = _made.get((module, number))
    return None if app is None else app()


def check_findable(function: Callable[..., Any], registered_in: Origin | None) -> None:
    """:class:`InvalidInput` for a function that no child process could find."""
    if is_child or (registered_in is not None and _is_imported(*registered_in)):
        return  # it is being found, or an import registers it again
    name = getattr(function, "__qualname__", "<none>")
    if "<" in name:  # <lambda>, or <locals> of another function
        raise InvalidInput(
            "a process can find it only by name: make it a function of a module, or register it"
            " where its module is imported"
        )
    if not _is_imported(function.__module__, _line_of(function)):
        raise InvalidInput(
            "a process imports the main module only from a file, and without what is under"
            ' if __name__ == "__main__": move it out of there'
        )


def can_import_main() -> bool:
    """Whether the main module is a module or a file, not an interactive session."""
    main = sys.modules[MAIN]
    return getattr(main, "__spec__", None) is not None or os.path.isfile(
        getattr(main, "__file__", None) or ""
    )


def _line_of(function: Callable[..., Any]) -> int:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return 0 if code is None else int(code.co_firstlineno)


def _is_imported(module: str, line: int) -> bool:
    """Whether a process that imports ``module`` executes this line of its body too."""
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
