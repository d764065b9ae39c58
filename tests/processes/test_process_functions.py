"""``process=True`` functions when their pod is killed, stopped or the first process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fleet_q import FleetQ
from tests.processes.conftest import Pods
from tests.waiting import LIMIT, wait_until, wait_until_ended

Begun = Callable[..., tuple[subprocess.Popen[bytes], str, list[int]]]

REAPER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def begun(pods: Pods, tmp_path: Path) -> Begun:
    """Start a pod that begins a step. Returns the pod, the step's id and the process ids that the
    step wrote into its file."""

    def begun(
        task: str, *, prefix: Sequence[str] = (sys.executable,), **arguments: object
    ) -> tuple[subprocess.Popen[bytes], str, list[int]]:
        pid_file = tmp_path / "pid_file"
        payload = {"task_type": task, "path": str(pid_file), **arguments}
        step_id = FleetQ(pods.store).submit(payload, max_retries=0)
        pod = pods.start("pod-1", prefix=prefix)
        wait_until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        return pod, step_id, [int(line) for line in pid_file.read_text().split()]

    return begun


def test_functions_and_their_programs_end_when_their_pod_is_killed(begun: Begun) -> None:
    pod, _, processes = begun("hold")
    pod.kill()
    for process in processes:
        wait_until_ended(process)


def test_function_completes_when_all_processes_of_a_pod_get_sigterm(
    pods: Pods, begun: Begun, tmp_path: Path
) -> None:
    proceed = tmp_path / "proceed"
    pod, step_id, (process,) = begun("await file", file=str(proceed))
    os.killpg(pod.pid, signal.SIGTERM)
    guard = int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(process)]))
    for number in (signal.SIGTERM, signal.SIGINT):
        for pid in (process, guard):
            os.kill(pid, number)
    wait_until(lambda: "send it again" in pods.log("pod-1").read_text())
    proceed.touch()
    assert pod.wait(LIMIT) == 0
    assert FleetQ(pods.store).status(step_id).result == "done"
    for line in ("awaiting", "the file"):
        text = f" - stdout - INFO - {line} pod=pod-1 step={step_id} attempt=1\n"
        assert text in pods.log("pod-1").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt orphans")
def test_first_process_reaps_orphans_and_leaves_exit_codes_to_the_pod(
    pods: Pods, begun: Begun
) -> None:
    pod, step_id, (orphan,) = begun("orphan", prefix=(sys.executable, "-c", REAPER))
    wait_until(lambda: not Path(f"/proc/{orphan}").exists())
    assert FleetQ(pods.store).wait(step_id, LIMIT).result == 3
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(LIMIT) == 0
    assert FleetQ(pods.store).pods()[0].status == "down"
