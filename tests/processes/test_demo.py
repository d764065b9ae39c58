"""The demo, as a user starts it."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_demo_holds_its_promises(tmp_path) -> None:
    command = [sys.executable, "-m", "fleet_q.services.cli", "demo", "--steps", "120", "--json"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert report["faults"] == []
    assert report["audit"]["steps"] == 120
    assert report["orphaned"] > 0
    assert report["audit"]["recovered"] > 0
    assert report["audit"]["failed"] > 0
    assert report["tables_equal_log"]
