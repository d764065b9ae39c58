"""Pods as real processes on one SQLite file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleet_q.adapters.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
QUICK = {
    "FLEET_Q_HEARTBEAT_INTERVAL": "0.2",
    "FLEET_Q_CLAIM_INTERVAL": "0.1",
    "FLEET_Q_RECOVERY_INTERVAL": "0.3",
    "FLEET_Q_DEAD_POD_THRESHOLD": "1",
}


class Pods:
    """Starts pods, and sees to it that none outlives its test."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder / 'fleet.db'}"
        self.store = SqliteStore(folder / "fleet.db")
        self._folder = folder
        self._all: list[subprocess.Popen[bytes]] = []

    def start(self, pod_id: str, *words: str, **settings: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        own = {**QUICK, **settings, "FLEET_Q_POD_ID": pod_id, "PYTHONPATH": path}
        env = {**os.environ, **own}
        command = [sys.executable, "-m", "fleet_q.services.cli", *(words or ("worker",))]
        command += ["--app", "tests.processes.tasks:app", "--store", self.url]
        with open(self.log(pod_id), "ab") as log:
            pod = subprocess.Popen(command, env=env, stderr=log, cwd=self._folder)
        self._all.append(pod)
        return pod

    def log(self, pod_id: str) -> Path:
        return self._folder / f"{pod_id}.log"

    def close(self) -> None:
        for pod in self._all:
            if pod.poll() is None:
                pod.kill()
            pod.wait()
        self.store.close()


@pytest.fixture
def pods(tmp_path: Path) -> Iterator[Pods]:
    pods = Pods(tmp_path)
    yield pods
    pods.close()


def eventually(what: Callable[[], object], seconds: float = 30) -> None:
    """Wait until ``what()`` is true: real processes have no clock that a test could turn."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)
