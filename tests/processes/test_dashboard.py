"""``fleet-q dashboard`` as a process, asked over HTTP."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import IO

from fleet_q import FleetQ
from tests.processes.launcher import QUICK, ROOT
from tests.waiting import LIMIT, wait_until


def test_dashboard_shows_the_apps_store_and_ends_with_a_signal_while_a_page_is_open(
    tmp_path: Path,
) -> None:
    (tmp_path / "app.py").write_text("from fleet_q import FleetQ\napp = FleetQ('sqlite:///a.db')\n")
    fleet, log = FleetQ(f"sqlite:///{tmp_path}/a.db"), tmp_path / "dashboard.log"
    fleet.submit({}, step_id="first")
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "fleet_q", "dashboard", "--port", "0"],
            env={**os.environ, **QUICK, "PYTHONPATH": str(ROOT), "FLEET_Q_APP": "app:app"},
            stderr=file,
            cwd=tmp_path,
        )
    try:
        wait_until(lambda: process.poll() is not None or "listening on" in log.read_text())
        (url,) = re.findall(r"listening on (http://127.0.0.1:\d+)", log.read_text())
        with urllib.request.urlopen(f"{url}/dashboard/steps", timeout=LIMIT) as page:
            assert b"first" in page.read()
        with urllib.request.urlopen(f"{url}/dashboard/changes", timeout=LIMIT) as changes:
            before = next_data(changes)
            fleet.submit({})
            assert next_data(changes) != before
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT) == 0
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


def next_data(changes: IO[bytes]) -> bytes:
    """The next line that tells of a change."""
    return next(line for line in iter(changes.readline, b"") if line.startswith(b"data:"))
