"""The tasks of the demo: most succeed, some after a retry, some never."""

from __future__ import annotations

import asyncio
import time

from fleet_q import FleetQ, PermanentFailure, current_step

app = FleetQ()


@app.task("resize_image")
def resize_image(number: int) -> dict[str, int]:
    """Take 30 ms in a thread."""
    time.sleep(0.03)
    return {"number": number, "width": 640}


@app.task("send_mail")
async def send_mail(number: int) -> str:
    """Take 30 ms on the event loop; fail at the first attempt."""
    await asyncio.sleep(0.03)
    if current_step().attempt == 1:
        raise ConnectionError("the mail server is busy")
    return f"mail {number} sent"


@app.task("crunch_numbers")
def crunch_numbers(number: int) -> int:
    """Take 0.6 s, so that the kill interrupts it."""
    time.sleep(0.6)
    return number * number


@app.task("read_scan", max_retries=1)
def read_scan(number: int) -> None:
    """Fail at every attempt."""
    raise ValueError(f"scan {number} is empty")


@app.task("parse_report")
def parse_report(number: int) -> None:
    """Fail for good at the first attempt."""
    raise PermanentFailure(f"report {number} is of an unknown version")
