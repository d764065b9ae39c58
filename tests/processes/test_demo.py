"""``fleet-q demo`` as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import LIMIT, wait_until


def test_demo_recovers_steps_of_killed_pods_and_finds_no_fault(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fleet_q", "demo", "--steps", "120", "--json"]
    completed = subprocess.run(
        command, capture_output=True, cwd=tmp_path, timeout=LIMIT, check=False
    )
    assert completed.returncode == 0, completed.stderr.decode()
    report = json.loads(completed.stdout)
    assert report["faults"] == []
    assert report["audit"]["steps"] == 120
    assert report["orphaned"] > 0
    assert report["audit"]["recovered"] > 0
    assert report["audit"]["failed"] > 0
    assert report["tables_equal_log"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_pods_end_with_a_demo_that_is_terminated_or_killed(
    tmp_path: Path, number: signal.Signals
) -> None:
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
    """The ids of all running processes, with the ids of their parents."""
    ps = ["ps", "-A", "-o", "pid=,ppid=,stat="]
    lines = subprocess.run(ps, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = (line.split() for line in lines)
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}
