"""The functions that the pods of a round run.

Each attempt first appends a line to a file: its step, its attempt and its process. The line stays,
whatever happens to the pod.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Final

from fleet_q import FleetQ, PermanentFailure, current_step

RUNS: Final = "CRASH_RUNS"
"""The environment variable with the path of that file."""

BULK: Final = 60_000
"""Characters of a result that fills many database pages."""

FLAKY_UNTIL: Final = 3
"""The first attempt in which a flaky function succeeds."""

SUM_TO: Final = 500_000

app = FleetQ()


@app.task("short")
def short(number: int) -> int:
    _record_run()
    time.sleep(0.01)
    return number


@app.task("gentle")
async def gentle(number: int) -> int:
    _record_run()
    await asyncio.sleep(0.05)
    return number


@app.task("long")
def long(number: int) -> int:
    _record_run()
    time.sleep(0.7)
    return number


@app.task("bulky")
def bulky(number: int) -> str:
    _record_run()
    return f"{number} " + "x" * BULK


@app.task("heavy", process=True)
def heavy(number: int) -> int:
    _record_run()
    return sum(range(SUM_TO)) + number


@app.task("flaky")
def flaky(number: int) -> int:
    _record_run()
    if current_step().attempt < FLAKY_UNTIL:
        raise ConnectionError("not yet")
    return number


@app.task("doomed")
def doomed(number: int) -> None:
    _record_run()
    raise ValueError(f"never {number}")


@app.task("refused")
def refused(number: int) -> None:
    _record_run()
    raise PermanentFailure(f"not even once more {number}")


@app.task("poison")
def poison(number: int) -> None:
    """Kill the pod that runs it."""
    _record_run()
    os.kill(os.getpid(), signal.SIGKILL)


def _record_run() -> None:
    step = current_step()
    line = f"{step.step_id} {step.attempt} {os.getpid()}\n".encode()
    file = os.open(os.environ[RUNS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line)
    finally:
        os.close(file)
