"""``fleet-q worker --metrics-port`` as a process, scraped over HTTP while it works."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from fleet_q import FleetQ
from tests.processes.launcher import QUICK, ROOT
from tests.waiting import LIMIT, wait_until


def test_worker_serves_its_metrics_and_ends_with_a_signal(tmp_path: Path) -> None:
    store, log = f"sqlite:///{tmp_path}/fleet.db", tmp_path / "worker.log"
    FleetQ(store).submit_many({"task_type": "mail"} for _ in range(5))
    (tmp_path / "app.py").write_text(
        "from fleet_q import FleetQ\napp = FleetQ()\napp.task('mail')(lambda: None)\n"
    )
    words = ["worker", "--app", "app:app", "--metrics-port", "0", "--store", store]
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "fleet_q", *words],
            env={**os.environ, **QUICK, "PYTHONPATH": str(ROOT)},
            stderr=file,
            cwd=tmp_path,
        )
    try:
        wait_until(lambda: process.poll() is not None or "listening on" in log.read_text())
        (url,) = re.findall(r"listening on (http://127.0.0.1:\d+)", log.read_text())
        wait_until(lambda: completed(url) == 5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def completed(url: str) -> float:
    """How many steps the pod has completed, by its metrics."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=LIMIT) as answer:
        text = answer.read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "fleet_q_pod_outcomes_total"
    )
