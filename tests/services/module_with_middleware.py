"""A process task with middleware round it, which child processes find by importing this module."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fleet_q import FleetQ, StepContext

app = FleetQ("memory://")


@app.middleware
def with_pid(step: StepContext, call_next: Callable[[], Any]) -> Any:
    if step.labels.get("fail"):
        raise ValueError("not in this process")
    return {"middleware": os.getpid(), "function": call_next()}


@app.task("pid", process=True)
def pid() -> int:
    return os.getpid()
