"""The app whose pods are measured. Importing it waits until the benchmark starts the pod."""

from __future__ import annotations

import os
from pathlib import Path

from fleet_q import FleetQ
from tests.benchmarks.calls import VARIABLE, Calls

app = FleetQ()
calls = Calls(Path(os.environ[VARIABLE]))


@app.task("noop")
def noop(number: int) -> int:
    """Do nothing, in a thread."""
    return calls.record(number)


@app.task("async_noop")
async def async_noop(number: int) -> int:
    """Do nothing, on the event loop."""
    return calls.record(number)


calls.wait_for_go()
