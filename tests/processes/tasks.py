"""The functions that the pods of these tests run."""

from __future__ import annotations

import os
import time

from fleet_q.services import FleetQ

app = FleetQ()


@app.task("nap")
def nap(number: int) -> int:
    """Short, but long enough for every pod to have its part of the work."""
    time.sleep(0.02)
    return number


@app.task("touch")
def touch(path: str, seconds: float) -> str:
    """Leave a sign of having begun, then take a while."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    return "done"


@app.task("block")
async def block(path: str, seconds: float) -> str:
    """The same, rudely: it is async and holds the event loop."""
    return touch(path, seconds)
