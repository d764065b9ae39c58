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
def touch(path: str, until: str) -> str:
    """Append this process's id to the file ``path``, then wait until the file ``until`` exists."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    while not os.path.exists(until):
        time.sleep(0.01)
    return "done"


@app.task("block")
async def block(path: str, until: str) -> str:
    """The same in an async function, so that it blocks the event loop."""
    return touch(path, until)
