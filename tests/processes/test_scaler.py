"""``fleet-q scaler`` as a process, asked over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fleet_q import FleetQ
from tests.processes.launcher import QUICK, ROOT
from tests.waiting import LIMIT, wait_until


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "scaler.log"


@pytest.fixture
def scaler(tmp_path: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    FleetQ(f"sqlite:///{tmp_path}/fleet.db").submit({"n": 1})
    words = ["scaler", "--port", "0", "--max", "5", "--store", f"sqlite:///{tmp_path}/fleet.db"]
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "fleet_q", *words],
            env={**os.environ, **QUICK, "PYTHONPATH": str(ROOT)},
            stderr=file,
            cwd=tmp_path,
        )
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


def test_scaler_serves_the_demand_and_ends_with_a_signal(
    scaler: subprocess.Popen[bytes], log: Path, tmp_path: Path
) -> None:
    wait_until(lambda: scaler.poll() is not None or "listening on" in log.read_text())
    (url,) = re.findall(r"listening on (http://127.0.0.1:\d+)", log.read_text())
    assert demand(url)["claimable"] == 1
    FleetQ(f"sqlite:///{tmp_path}/fleet.db").submit_many({"n": n} for n in range(20))
    wait_until(lambda: demand(url)["claimable"] == 21)
    assert demand(url)["wanted_pods"] == 4
    metrics = text_string_to_metric_families(read(f"{url}/metrics").decode())
    assert {"fleet_q_wanted_pods": 4.0}.items() <= {
        sample.name: sample.value for metric in metrics for sample in metric.samples
    }.items()
    scaler.send_signal(signal.SIGTERM)
    assert scaler.wait(LIMIT) == 0
    assert "Traceback" not in log.read_text()


def read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=LIMIT) as answer:
        body: bytes = answer.read()
    return body


def demand(url: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(read(f"{url}/demand"))
    return answer
