"""The modules in whose code apps are made and tasks registered: what child processes import."""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fleet_q.core.errors import InvalidInput

if TYPE_CHECKING:
    from fleet_q.services.app import FleetQ

MAIN: Final = "__main__"
MAIN_IN_CHILD: Final = "__mp_main__"
"""The name under which ``multiprocessing`` imports a script in a child process."""

_made: dict[tuple[str, int], weakref.ref[FleetQ]] = {}
_counts: Counter[str] = Counter()


class Origin(NamedTuple):
    """The module whose code was running, and whether through a function that it called."""

    module: str
    within_function: bool


def origin() -> Origin | None:
    """The innermost module whose code calls this; ``None`` in a thread or callback that no module
    level code waits for."""
    frame = sys._getframe(1)
    within_function = False
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith("fleet_q."):
            if frame.f_code.co_name == "<module>":
                return Origin(MAIN if name == MAIN_IN_CHILD else name, within_function)
            within_function = True
        frame = frame.f_back  # type: ignore[assignment]
    return None


def number_app(app: FleetQ, made_in: Origin | None) -> int:
    """Count a new app among those that its module makes, from 0, so that :func:`made` finds it."""
    if made_in is None:
        return 0
    number = _counts[made_in.module]
    _counts[made_in.module] += 1
    _made[made_in.module, number] = weakref.ref(app)
    return number


def made(module: str, number: int) -> FleetQ | None:
    """The app that ``module`` made as its ``number``-th, from 0."""
    app = _made.get((module, number))
    return None if app is None else app()


def check_findable(function: Callable[..., Any], registered_in: Origin | None) -> None:
    """:class:`InvalidInput` for a function that no child process could find."""
    is_named = "<" not in getattr(function, "__qualname__", "<none>")
    by_import = registered_in is not None and not (
        registered_in.module == MAIN and registered_in.within_function
    )
    if not is_named and not by_import:
        raise InvalidInput(
            "a process can find it only by name: make it a function of a module, or register it"
            " at the top of a module"
        )
    module = function.__module__ if is_named else registered_in and registered_in.module
    if module == MAIN and not can_import_main():
        raise InvalidInput("a process cannot import an interactive session: move it to a module")


def can_import_main() -> bool:
    """Whether the main module is a file or a module, not an interactive session."""
    main = sys.modules[MAIN]
    return getattr(main, "__spec__", None) is not None or hasattr(main, "__file__")
