"""Several pods on one file, some of which are killed or stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fleet_q import FleetQ, Settings
from fleet_q.core.audit import audit
from fleet_q.core.events import Claimed
from fleet_q.core.ports import Store
from fleet_q.core.step import Step
from tests.processes.conftest import Pods
from tests.waiting import LIMIT, wait_until


def test_four_pods_complete_5000_steps_while_one_is_killed_and_restarted(pods: Pods) -> None:
    settings = Settings(max_retries=100)  # a busy machine may delay heartbeats of healthy pods
    fleet = FleetQ(pods.store, settings=settings)
    fleet.submit_many({"task_type": "nap", "number": n} for n in range(5_000))
    running = [pods.start(f"pod-{n}", FLEET_Q_MAX_PARALLELISM="20") for n in range(4)]

    wait_until(lambda: fleet.queue()["completed"] > 200)
    wait_until(lambda: _stopped_while_it_holds_steps(running[0], pods.store))
    running[0].kill()
    running[0].wait()
    pods.start("pod-0")
    wait_until(lambda: fleet.queue()["completed"] == 5_000)

    report = audit(pods.store.step_events())
    assert report.faults == []
    assert (report.steps, report.completed) == (5_000, 5_000)
    assert report.recovered > 0
    assert pods.store.rebuild(check=True).equal
    assert {step.result for step in _all_steps(pods)} == {str(n) for n in range(5_000)}


def _stopped_while_it_holds_steps(pod: subprocess.Popen[bytes], store: Store) -> bool:
    pod.send_signal(signal.SIGSTOP)  # it cannot complete or claim steps any longer
    last = {event.stream: event for event in store.step_events()}.values()
    if any(event.pod_id == "pod-0" and isinstance(event.fact, Claimed) for event in last):
        return True
    pod.send_signal(signal.SIGCONT)
    return False


def _all_steps(pods: Pods) -> list[Step]:
    ids = sorted({event.stream for event in pods.store.step_events()})
    return [step for step_id in ids if (step := pods.store.step(step_id)) is not None]


def test_step_of_a_killed_pod_is_recovered_and_completed_by_another(
    pods: Pods, tmp_path: Path
) -> None:
    fleet = FleetQ(pods.store)
    pid_file = tmp_path / "pid_file"
    proceed = tmp_path / "proceed"
    step_id = fleet.submit({"task_type": "touch", "path": str(pid_file), "until": str(proceed)})
    victim = pods.start("victim")
    wait_until(pid_file.exists)
    victim.kill()
    victim.wait()
    proceed.touch()
    pods.start("heir")
    step = fleet.wait(step_id, LIMIT)
    assert (step.status, step.claimed_by, step.retry_count) == ("completed", "heir", 1)
    assert len(pid_file.read_text().split()) == 2


@pytest.mark.parametrize(
    "task",
    [
        "kill pod once",
        pytest.param(
            "kill process pod once",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the pod"),
        ),
    ],
)
def test_claimed_steps_that_a_killed_pod_had_not_begun_do_not_fail(
    pods: Pods, tmp_path: Path, task: str
) -> None:
    """They may be attempted once; only the step that killed the pod has used its attempt."""
    fleet = FleetQ(pods.store, settings=Settings(max_retries=0))
    path = tmp_path / "begun"
    ids = fleet.submit_many({"task_type": task, "path": str(path)} for _ in range(6))
    # The long interval keeps the pod from releasing steps that wait for its only child process.
    pods.start("victim", FLEET_Q_MAX_PROCESSES="1", FLEET_Q_CLAIM_INTERVAL=str(LIMIT)).wait(LIMIT)
    (poison,) = path.read_text().split()
    assert {fleet.status(step_id).claimed_by for step_id in ids} == {"victim"}
    pods.start("heir")
    wait_until(lambda: (queue := fleet.queue())["completed"] + queue["failed"] == 6)

    assert [step.step_id for step in fleet.dead_letters().steps] == [poison]
    assert sorted(path.read_text().split()) == sorted(ids)
    wait_until(lambda: len(list(tmp_path.glob("fleet.db-begun-*"))) == 1)  # the heir's own


def test_pod_declared_dead_while_stopped_changes_nothing_when_it_resumes(
    pods: Pods, tmp_path: Path
) -> None:
    fleet = FleetQ(pods.store)
    pid_file = tmp_path / "pid_file"
    proceed = tmp_path / "proceed"
    step_id = fleet.submit({"task_type": "touch", "path": str(pid_file), "until": str(proceed)})
    zombie = pods.start("zombie")
    wait_until(pid_file.exists)
    zombie.send_signal(signal.SIGSTOP)
    proceed.touch()
    pods.start("heir")
    assert fleet.wait(step_id, LIMIT).claimed_by == "heir"
    zombie.send_signal(signal.SIGCONT)
    wait_until(lambda: "declared dead" in pods.log("zombie").read_text())
    wait_until(lambda: all(pod.status == "up" for pod in fleet.pods()))
    report = audit(pods.store.step_events())
    assert (report.completed, report.faults) == (1, [])
    assert fleet.status(step_id).claimed_by == "heir"
