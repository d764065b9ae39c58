"""Waiting for other threads and processes, which have no fake clock.

No wait depends on how fast the machine is: only a broken product reaches ``LIMIT``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
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


def wait_until_ended(pid: int) -> None:
    """Wait until a process has ended, also one that is no child of this process."""
    wait_until(lambda: not _is_alive(pid))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # ended just now, or the system has no /proc
        return not Path("/proc/self/stat").exists()
    return stat.rpartition(")")[2].split()[0] != "Z"  # a zombie does not count
