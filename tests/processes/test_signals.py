"""What signals do to a pod's process."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ
from tests.processes.conftest import Pods
from tests.waiting import LIMIT, wait_until

Begun = Callable[..., tuple[subprocess.Popen[bytes], str]]


@pytest.fixture
def begun(pods: Pods, tmp_path: Path) -> Begun:
    """Start a pod and give it a step that runs until the test creates the file "go on"; returns
    once the step has begun."""

    def begun(
        *words: str, task: str = "touch", **settings: Any
    ) -> tuple[subprocess.Popen[bytes], str]:
        sign = tmp_path / "sign"
        payload = {"task_type": task, "path": str(sign), "until": str(tmp_path / "go on")}
        step_id = FleetQ(pods.store).submit(payload)
        pod = pods.start("pod-1", *words, **settings)
        wait_until(sign.exists)
        return pod, step_id

    return begun


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_the_first_signal_lets_the_pod_finish_and_leave(
    pods: Pods, begun: Begun, tmp_path: Path, number: signal.Signals
) -> None:
    pod, step_id = begun(FLEET_Q_SHUTDOWN_GRACE="3600")
    pod.send_signal(number)
    fleet = FleetQ(pods.store)
    wait_until(lambda: fleet.pods()[0].status == "draining")
    (tmp_path / "go on").touch()
    assert pod.wait(LIMIT) == 0
    assert fleet.status(step_id).status == "completed"
    assert fleet.pods()[0].status == "down"


def test_after_the_grace_the_step_is_released_with_no_try_used_up(pods: Pods, begun: Begun) -> None:
    pod, step_id = begun(FLEET_Q_SHUTDOWN_GRACE="0.2")
    pod.send_signal(signal.SIGQUIT)
    assert pod.wait(LIMIT) == 0
    step = FleetQ(pods.store).status(step_id)
    assert (step.status, step.retry_count) == ("pending", 0)


def test_a_second_signal_stops_at_once(pods: Pods, begun: Begun) -> None:
    pod, step_id = begun(FLEET_Q_SHUTDOWN_GRACE="3600")
    pod.send_signal(signal.SIGTERM)
    wait_until(lambda: "once more" in pods.log("pod-1").read_text())
    pod.send_signal(signal.SIGTERM)
    pod.wait(LIMIT)
    step = FleetQ(pods.store).status(step_id)
    assert (step.status, step.retry_count) == ("pending", 0)


AWAY = """
import os, signal
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.errors import StoreUnavailable
from fleet_q import FleetQ

class Away(MemoryStore):
    told = False

    def turn(self, turn):
        if not self.told and callable(signal.getsignal(signal.SIGTERM)):  # the pod hears signals
            self.told = True
            os.kill(os.getpid(), signal.SIGTERM)
        raise StoreUnavailable("the store is away")

app = FleetQ(Away())
"""


def test_pod_whose_leaving_the_store_does_not_confirm_ends_with_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "away.py").write_text(AWAY)
    pod = subprocess.run(
        [sys.executable, "-m", "fleet_q", "worker", "--app", "away:app"],
        env={**os.environ, "FLEET_Q_SHUTDOWN_GRACE": "0.01", "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert pod.returncode == 1
    assert pod.stderr.splitlines()[-1].startswith("fleet-q: the grace is over and the store has")
    assert "left the fleet" not in pod.stderr


def test_a_function_that_blocks_the_loop_does_not_keep_its_pod_from_leaving(
    pods: Pods, begun: Begun
) -> None:
    pod, step_id = begun(task="block", FLEET_Q_SHUTDOWN_GRACE="0.2")
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(LIMIT) == 0
    fleet = FleetQ(pods.store)
    assert (fleet.status(step_id).status, fleet.pods()[0].status) == ("pending", "down")
    assert "cannot be stopped" in pods.log("pod-1").read_text()


def test_threads_executors_and_exit_handlers_left_behind_do_not_keep_the_process(
    pods: Pods, begun: Begun
) -> None:
    pod, step_id = begun(task="clutter")
    fleet = FleetQ(pods.store)
    wait_until(lambda: fleet.status(step_id).status == "completed")
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(LIMIT) == 0
    assert fleet.pods()[0].status == "down"
    assert "exiting without waiting for threads" in pods.log("pod-1").read_text()


def test_nor_a_second_signal_from_stopping_it_at_once(pods: Pods, begun: Begun) -> None:
    pod, step_id = begun(task="block", FLEET_Q_SHUTDOWN_GRACE="3600")
    pod.send_signal(signal.SIGINT)
    wait_until(lambda: "once more" in pods.log("pod-1").read_text())
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(LIMIT) == 0
    assert FleetQ(pods.store).status(step_id).status == "pending"


def test_a_serving_pod_answers_until_it_has_drained(
    pods: Pods, begun: Begun, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pod, step_id = begun("serve", "--port", str(port), FLEET_Q_SHUTDOWN_GRACE="3600")
    url = f"http://127.0.0.1:{port}"

    def get(path: str) -> Any:
        with urllib.request.urlopen(url + path, timeout=LIMIT) as answer:
            return json.load(answer)

    assert get("/health")["status"] == "ok"
    pod.send_signal(signal.SIGTERM)
    wait_until(lambda: get("/admin/pods")[0]["status"] == "draining")
    pod.send_signal(signal.SIGHUP)  # service managers and shells send it besides
    assert get(f"/status/{step_id}")["status"] == "claimed"
    (tmp_path / "go on").touch()
    assert pod.wait(LIMIT) == 0
    assert FleetQ(pods.store).status(step_id).status == "completed"


def test_a_second_pod_of_the_same_name_ends_the_first_with_one_line(
    pods: Pods, begun: Begun
) -> None:
    first, _ = begun()
    second = pods.start("pod-1")
    assert first.wait(LIMIT) == 1
    last = pods.log("pod-1").read_text()
    assert "give every pod its own FLEET_Q_POD_ID" in last
    assert "Traceback" not in last
    assert second.poll() is None


def test_signal_ends_a_process_that_a_function_has_forked(pods: Pods) -> None:
    fleet = FleetQ(pods.store)
    step_id = fleet.submit({"task_type": "terminate"})
    pods.start("pod-1")
    assert fleet.wait(step_id, LIMIT).result == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="tgkill() and /proc are Linux's")
def test_a_signal_that_another_thread_receives_lets_the_pod_leave(
    begun: Begun, tmp_path: Path
) -> None:
    """As the system may do after SIGCONT; nothing interrupts the main thread then."""
    pod, _ = begun()
    (tmp_path / "go on").touch()
    threads = [int(name) for name in os.listdir(f"/proc/{pod.pid}/task")]
    another = max(threads)
    assert another != pod.pid

    assert ctypes.CDLL(None).tgkill(pod.pid, another, int(signal.SIGTERM)) == 0

    assert pod.wait(LIMIT) == 0
