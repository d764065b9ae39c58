"""The demo, as a user starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import LIMIT, wait_until


def test_the_demo_holds_its_promises(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fleet_q", "demo", "--steps", "120", "--json"]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout)
    assert report["faults"] == []
    assert report["audit"]["steps"] == 120
    assert report["orphaned"] > 0
    assert report["audit"]["recovered"] > 0
    assert report["audit"]["failed"] > 0
    assert report["tables_equal_log"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_pod_outlives_a_demo_that_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "fleet_q", "demo", "--steps", "5000", "--json"]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    demo = subprocess.Popen(command, cwd=tmp_path, env=env)
    try:
        wait_until(lambda: len(_children(demo.pid)) == 3)
        pods = _children(demo.pid)
        demo.send_signal(number)
        assert demo.wait(LIMIT) == (-number if number == signal.SIGKILL else 128 + number)
    finally:
        demo.kill()
        demo.wait()
    wait_until(lambda: not pods & _processes().keys())
    if number != signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []


def _children(pid: int) -> set[int]:
    return {child for child, parent in _processes().items() if parent == pid}


def _processes() -> dict[int, int]:
    """All processes that live, and the parent of each."""
    ps = ["ps", "-A", "-o", "pid=,ppid=,stat="]
    lines = subprocess.run(ps, capture_output=True, text=True, check=True).stdout.splitlines()
    found = (line.split() for line in lines)
    return {int(pid): int(parent) for pid, parent, state in found if not state.startswith("Z")}
