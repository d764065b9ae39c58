"""The example for Sentry sends what it says, to a receiver on the loopback interface."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.docs import DOCS, text_of
from tests.receiver import Receiver, receiving

_EXAMPLE = re.compile(r"## Sentry\n.*?```python\n(.*?)```", re.DOTALL)

_USE = """
import asyncio

@app.task("divide", max_retries=0)
def divide(divisor: int) -> float:
    dividend = 1
    return dividend / divisor

@app.task("hang", max_retries=0, timeout=0.05)
async def hang() -> None:
    await asyncio.sleep(600)

async def main() -> None:
    async with app.running():
        ids = [divide.submit(0), hang.submit()]
        await asyncio.gather(*(asyncio.to_thread(app.wait, step_id) for step_id in ids))

asyncio.run(main())
sentry_sdk.flush()
"""


def events(receiver: Receiver) -> list[dict[str, Any]]:
    """The events of the envelopes that were sent."""
    found = []
    for _, headers, body in receiver.requests:
        lines = (gzip.decompress(body) if "Content-Encoding" in headers else body).split(b"\n")
        for header, item in pairwise(lines):
            if header.startswith(b'{"type":"event"'):
                found.append(msgspec.json.decode(item))
    return found


@pytest.mark.slow
def test_example_for_sentry_reports_exceptions_and_dead_letters(tmp_path: Path) -> None:
    example = _EXAMPLE.search(text_of(DOCS / "monitoring.md"))
    assert example is not None
    script = tmp_path / "example.py"
    script.write_text(example[1] + _USE)
    with receiving() as receiver:
        dsn = receiver.url.replace("http://", "http://key@") + "/1"
        subprocess.run(
            [sys.executable, script],
            env={**os.environ, "SENTRY_DSN": dsn, "FLEET_Q_STORE": "memory://", "no_proxy": "*"},
            cwd=tmp_path,
            check=True,
        )
        raised, message = sorted(events(receiver), key=lambda event: "message" in event)
    (exception,) = raised["exception"]["values"]
    assert exception["type"] == "ZeroDivisionError"
    assert exception["stacktrace"]["frames"][-1]["vars"]["divisor"] == "0"
    assert raised["tags"]["task_type"] == "divide"
    assert raised["contexts"]["step"]["attempt"] == 1
    assert message["message"] == "dead letter: TimeoutError: ran longer than 0.05 s"
