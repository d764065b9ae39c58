"""Waiting for something that other processes do, by reading it less and less often."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from fleet_q.services.app.context import PermanentFailure, current

T = TypeVar("T")

_SHORTEST: Final = 0.005
_LONGEST: Final = 1.0


def poll(
    read: Callable[[], T],
    is_over: Callable[[T], bool],
    timeout: float | None,
    describe: Callable[[T], str],
) -> T:
    """Read until what was read ``is_over``; return it. It is read every 5 ms at first, and less and
    less often, down to once a second. Raises ``TimeoutError`` after ``timeout`` seconds, which says
    that what :func:`describe` returns is still so."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = _SHORTEST
    while not is_over(value := read()):
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{describe(value)} after {timeout:g} s")
            pause = min(pause, left)
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST)
    return value


def check_may_wait(app: object, what: str) -> None:
    """Raise :class:`PermanentFailure` in a function of ``app``: ``what`` it waits for may need the
    very slot of that function."""
    context = current.get()
    if context is not None and context.app is app:
        raise PermanentFailure(
            f"step {context.step_id!r} waits for {what} of the same app, which may need its slot;"
            " let it submit the work that follows instead"
        )
