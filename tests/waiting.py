"""Waiting for other threads and processes, which have no fake clock.

No wait depends on how fast the machine is: only a broken product reaches ``LIMIT``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

LIMIT: Final = 300.0
"""Seconds after which a waiting test fails; also for calls that take a timeout."""

_SHORTEST: Final = 0.001
_LONGEST: Final = 0.02
"""Seconds between two checks; each pause is a quarter longer than the one before."""

T = TypeVar("T")


def wait_until(condition: Callable[[], T], limit: float = LIMIT) -> T:
    """Return the first true value of ``condition()``; fail after ``limit`` seconds."""
    until, pause = time.monotonic() + limit, _SHORTEST
    while not (value := condition()):
        assert time.monotonic() < until, f"still {value!r} after {limit:g} s"
        time.sleep(pause)
        pause = min(pause * 1.25, _LONGEST)
    return value


async def wait_until_async(condition: Callable[[], T], limit: float = LIMIT) -> T:
    """Like :func:`wait_until`, without blocking the event loop."""
    until, pause = time.monotonic() + limit, _SHORTEST
    while not (value := condition()):
        assert time.monotonic() < until, f"still {value!r} after {limit:g} s"
        await asyncio.sleep(pause)
        pause = min(pause * 1.25, _LONGEST)
    return value
