"""Signals drain or stop a pod, and its process ends."""

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
    """Start a pod and submit a step that runs until the file "proceed" exists. Returns the pod and
    the step's id once the step has begun."""

    def begun(
        *words: str, task: str = "touch", **settings: Any
    ) -> tuple[subprocess.Popen[bytes], str]:
        pid_file = tmp_path / "pid_file"
        payload = {"task_type": task, "path": str(pid_file), "until": str(tmp_path / "proceed")}
        step_id = FleetQ(pods.store).submit(payload)
        pod = pods.start("pod-1", *words, **settings)
        wait_until(pid_file.exists)
        return pod, step_id

    return begun


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_first_signal_lets_running_step_complete_and_pod_leave(
    pods: Pods, begun: Begun, tmp_path: Path, number: signal.Signals
) -> None:
    pod, step_id = begun(FLEET_Q_SHUTDOWN_GRACE="3600")
    pod.send_signal(number)
    fleet = FleetQ(pods.store)
    wait_until(lambda: fleet.pods()[0].status == "draining")
    (tmp_path / "proceed").touch()
    assert pod.wait(LIMIT) == 0
    assert fleet.status(step_id).status == "completed"
    assert fleet.pods()[0].status == "down"


def test_step_is_released_without_a_retry_when_grace_is_over(pods: Pods, begun: Begun) -> None:
    pod, step_id = begun(FLEET_Q_SHUTDOWN_GRACE="0.2")
    pod.send_signal(signal.SIGQUIT)
    assert pod.wait(LIMIT) == 0
    step = FleetQ(pods.store).status(step_id)
    assert (step.status, step.retry_count) == ("pending", 0)


def test_second_signal_releases_step_at_once_and_is_told_by_the_exit_code(
    pods: Pods, begun: Begun
) -> None:
    pod, step_id = begun(FLEET_Q_SHUTDOWN_GRACE="3600")
    pod.send_signal(signal.SIGINT)
    wait_until(lambda: "send it again" in pods.log("pod-1").read_text())
    pod.send_signal(signal.SIGINT)
    assert pod.wait(LIMIT) == 130
    assert pods.log("pod-1").read_text().splitlines()[-1] == "fleet-q: interrupted"
    step = FleetQ(pods.store).status(step_id)
    assert (step.status, step.retry_count) == ("pending", 0)


UNAVAILABLE = """
import os, signal
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.errors import StoreUnavailable
from fleet_q import FleetQ

class Unavailable(MemoryStore):
    is_signalled = False

    def sync(self, request):
        if not self.is_signalled and callable(signal.getsignal(signal.SIGTERM)):
            self.is_signalled = True  # once the pod handles signals
            os.kill(os.getpid(), signal.SIGTERM)
        raise StoreUnavailable("the store does not answer")

app = FleetQ(Unavailable())

@app.task("any")
def any_task():
    pass
"""


def test_pod_exits_with_code_1_when_store_does_not_confirm_that_it_left(tmp_path: Path) -> None:
    (tmp_path / "unavailable.py").write_text(UNAVAILABLE)
    pod = subprocess.run(
        [sys.executable, "-m", "fleet_q", "worker", "--app", "unavailable:app"],
        env={**os.environ, "FLEET_Q_SHUTDOWN_GRACE": "0.01", "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert pod.returncode == 1
    assert pod.stderr.splitlines()[-1].startswith("fleet-q: the grace is over and the store has")
    assert "left the fleet" not in pod.stderr


def test_pod_leaves_while_a_function_blocks_the_event_loop(pods: Pods, begun: Begun) -> None:
    pod, step_id = begun(task="block", FLEET_Q_SHUTDOWN_GRACE="0.2")
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(LIMIT) == 0
    fleet = FleetQ(pods.store)
    assert (fleet.status(step_id).status, fleet.pods()[0].status) == ("pending", "down")
    assert "cannot be stopped" in pods.log("pod-1").read_text()


def test_process_exits_despite_threads_executors_and_exit_handlers_of_functions(
    pods: Pods, begun: Begun
) -> None:
    pod, step_id = begun(task="clutter")
    fleet = FleetQ(pods.store)
    wait_until(lambda: fleet.status(step_id).status == "completed")
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(LIMIT) == 0
    assert fleet.pods()[0].status == "down"
    assert "exiting without waiting for threads" in pods.log("pod-1").read_text()


def test_second_signal_stops_pod_at_once_while_a_function_blocks_the_event_loop(
    pods: Pods, begun: Begun
) -> None:
    pod, step_id = begun(task="block", FLEET_Q_SHUTDOWN_GRACE="3600")
    pod.send_signal(signal.SIGINT)
    wait_until(lambda: "send it again" in pods.log("pod-1").read_text())
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(LIMIT) == 128 + signal.SIGTERM
    assert FleetQ(pods.store).status(step_id).status == "pending"


def test_serving_pod_answers_http_until_it_has_drained(
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
    pod.send_signal(signal.SIGHUP)  # service managers and shells send it as well
    assert get(f"/status/{step_id}")["status"] == "claimed"
    (tmp_path / "proceed").touch()
    assert pod.wait(LIMIT) == 0
    assert FleetQ(pods.store).status(step_id).status == "completed"


def test_second_pod_with_the_same_id_ends_the_first_with_one_log_line(
    pods: Pods, begun: Begun
) -> None:
    first, _ = begun()
    second = pods.start("pod-1")
    assert first.wait(LIMIT) == 1
    last = pods.log("pod-1").read_text()
    assert "give every pod its own FLEET_Q_POD_ID" in last
    assert "Traceback" not in last
    assert second.poll() is None


def test_sigterm_ends_a_process_that_a_function_forked(pods: Pods) -> None:
    fleet = FleetQ(pods.store)
    step_id = fleet.submit({"task_type": "terminate"})
    pods.start("pod-1")
    assert fleet.wait(step_id, LIMIT).result == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="tgkill() and /proc are Linux's")
def test_pod_leaves_when_another_thread_receives_the_signal(begun: Begun, tmp_path: Path) -> None:
    """The system may deliver it so after SIGCONT; the main thread is not interrupted then."""
    pod, _ = begun()
    (tmp_path / "proceed").touch()
    threads = [int(name) for name in os.listdir(f"/proc/{pod.pid}/task")]
    another = next(thread for thread in threads if thread != pod.pid)

    assert ctypes.CDLL(None).tgkill(pod.pid, another, int(signal.SIGTERM)) == 0

    assert pod.wait(LIMIT) == 0
