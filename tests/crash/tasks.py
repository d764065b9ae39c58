"""The functions that the pods of a round run. Each attempt leaves a sign before it does anything:
a line of its step, its attempt and its process, which is there whatever becomes of the pod."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Final

from fleet_q import FleetQ, PermanentFailure, current_step

SIGNS: Final = "CRASH_SIGNS"
"""The environment variable that names the file of signs."""

BULK: Final = 60_000
"""Characters of a result that takes many pages of a file."""

FLAKY_UNTIL: Final = 3
"""The first attempt that a flaky function does not fail."""

SUM_TO: Final = 500_000

app = FleetQ()


@app.task("short")
def short(number: int) -> int:
    _leave_sign()
    time.sleep(0.01)
    return number


@app.task("gentle")
async def gentle(number: int) -> int:
    _leave_sign()
    await asyncio.sleep(0.05)
    return number


@app.task("long")
def long(number: int) -> int:
    _leave_sign()
    time.sleep(0.7)
    return number


@app.task("bulky")
def bulky(number: int) -> str:
    _leave_sign()
    return f"{number} " + "x" * BULK


@app.task("heavy", process=True)
def heavy(number: int) -> int:
    _leave_sign()
    return sum(range(SUM_TO)) + number


@app.task("flaky")
def flaky(number: int) -> int:
    _leave_sign()
    if current_step().attempt < FLAKY_UNTIL:
        raise ConnectionError("not yet")
    return number


@app.task("doomed")
def doomed(number: int) -> None:
    _leave_sign()
    raise ValueError(f"never {number}")


@app.task("refused")
def refused(number: int) -> None:
    _leave_sign()
    raise PermanentFailure(f"not even once more {number}")


@app.task("poison")
def poison(number: int) -> None:
    """It takes its pod with it."""
    _leave_sign()
    os.kill(os.getpid(), signal.SIGKILL)


def _leave_sign() -> None:
    step = current_step()
    line = f"{step.step_id} {step.attempt} {os.getpid()}\n".encode()
    file = os.open(os.environ[SIGNS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line)
    finally:
        os.close(file)
