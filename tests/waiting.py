"""Waiting for what other threads and processes do, which have no clock that a test could turn.

No wait here depends on how fast the machine is: only a broken product reaches ``LIMIT``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, TypeVar

LIMIT: Final = 300.0
"""Seconds after which a test fails instead of waiting on: for ``wait_until``, and for whatever
takes a timeout of its own."""

_PAUSE: Final = 0.01

T = TypeVar("T")


def wait_until(condition: Callable[[], T], limit: float = LIMIT) -> T:
    """Return the first true value of ``condition()``; fail after ``limit`` seconds."""
    until = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < until, f"still {value!r} after {limit:g} s"
        time.sleep(_PAUSE)
    return value


async def wait_until_async(condition: Callable[[], T], limit: float = LIMIT) -> T:
    """The same without blocking the event loop."""
    until = time.monotonic() + limit
    while not (value := condition()):
        assert time.monotonic() < until, f"still {value!r} after {limit:g} s"
        await asyncio.sleep(_PAUSE)
    return value
