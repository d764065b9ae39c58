"""The examples for traces and for StatsD send what they say, to receivers on loopback."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import DOCS, text_of
from tests.services.collector import collecting

_USE = """
import asyncio

@app.task("mail")
def mail() -> None: ...

async def main() -> None:
    async with app.running():
        await asyncio.to_thread(app.wait, mail.submit())

asyncio.run(main())
provider.shutdown()
"""


def example(heading: str) -> str:
    """The Python below a heading."""
    found = re.search(rf"## {heading}\n.*?```python\n(.*?)```", text_of(MONITORING), re.DOTALL)
    assert found is not None
    return found[1]


MONITORING = DOCS / "monitoring.md"


@pytest.mark.slow
def test_examples_for_traces_and_statsd_send_spans_and_counters(tmp_path: Path) -> None:
    with collecting() as collector, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        counting = example("Datadog and StatsD").replace("8125", str(statsd.getsockname()[1]))
        script = tmp_path / "example.py"
        script.write_text(example("Traces") + counting + _USE)
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "FLEET_Q_STORE": "memory://",
            "no_proxy": "*",
        }
        subprocess.run(
            [sys.executable, script], env={**os.environ, **environment}, cwd=tmp_path, check=True
        )
        sent, ran = collector.one("send default"), collector.one("process default")
        assert (ran.trace_id, ran.parent_id) == (sent.trace_id, sent.span_id)
        assert statsd.recv(100) == b"fleet_q.mail.completed:1|c"
