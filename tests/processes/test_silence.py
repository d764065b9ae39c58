"""All pods of a fleet miss their heartbeats for longer than the dead-pod threshold."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ, Settings
from fleet_q.core.pod import Pod
from fleet_q.core.retry import micros
from tests.processes.conftest import Pods
from tests.waiting import LIMIT, wait_until

THRESHOLD = 4.0
ENVIRONMENT: dict[str, Any] = {
    "FLEET_Q_DEAD_POD_THRESHOLD": str(THRESHOLD),
    "FLEET_Q_MAX_PARALLELISM": "1",
}
NAMES = ("a", "b", "c")


@contextmanager
def locked_file(pods: Pods, running: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    path = pods.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, timeout=LIMIT, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def stopped_fleet(pods: Pods, running: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    for pod in running:
        pod.send_signal(signal.SIGSTOP)
    yield
    for pod in running:
        pod.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("outage", [locked_file, stopped_fleet])
def test_pods_keep_their_steps_when_all_of_them_missed_their_heartbeats(
    pods: Pods, tmp_path: Path, outage: Any
) -> None:
    fleet = FleetQ(
        pods.store, settings=Settings(heartbeat_interval=0.2, dead_pod_threshold=THRESHOLD)
    )
    running = [pods.start(name, **ENVIRONMENT) for name in NAMES]
    proceed = tmp_path / "proceed"
    step_ids = [
        fleet.submit(
            {"task_type": "touch", "path": str(tmp_path / name), "until": str(proceed)},
            max_retries=0,
        )
        for name in NAMES
    ]
    wait_until(lambda: fleet.queue()["claimed"] == len(NAMES))
    before = rows(pods)

    with outage(pods, running):
        wait_until(lambda: not any(pod.alive for pod in fleet.pods()))

    after = pods.store.pods().at + micros(1.0)  # several heartbeats
    wait_until(lambda: all(rows(pods)[name].last_heartbeat_ts > after for name in NAMES))
    proceed.touch()
    assert {fleet.wait(step_id, LIMIT).status for step_id in step_ids} == {"completed"}
    assert {name: pod.incarnation for name, pod in rows(pods).items()} == {
        name: pod.incarnation for name, pod in before.items()
    }


def rows(pods: Pods) -> dict[str, Pod]:
    return {pod.pod_id: pod for pod in pods.store.pods().pods}
