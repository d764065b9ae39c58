"""The functions that the demo's pods run: most do well, some need a retry, some never work."""

from __future__ import annotations

import asyncio
import time

from fleet_q import FleetQ, PermanentFailure, current_step

app = FleetQ()


@app.task("resize_image")
def resize_image(number: int) -> dict[str, int]:
    """Takes a moment, in a thread."""
    time.sleep(0.03)
    return {"number": number, "width": 640}


@app.task("send_mail")
async def send_mail(number: int) -> str:
    """Takes a moment, on the event loop, and fails at the first attempt."""
    await asyncio.sleep(0.03)
    if current_step().attempt == 1:
        raise ConnectionError("the mail server is busy")
    return f"mail {number} sent"


@app.task("crunch_numbers")
def crunch_numbers(number: int) -> int:
    """Takes long enough to be caught in the middle."""
    time.sleep(0.6)
    return number * number


@app.task("read_scan", max_retries=1)
def read_scan(number: int) -> None:
    """Never works, however often it is tried."""
    raise ValueError(f"scan {number} is empty")


@app.task("parse_report")
def parse_report(number: int) -> None:
    """Knows that another try would not help."""
    raise PermanentFailure(f"report {number} is of an unknown version")
