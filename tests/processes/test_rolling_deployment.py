"""Pods of two versions of an app on one file, and workers for some of its queues."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet_q import FleetQ
from fleet_q.core.audit import audit
from fleet_q.core.events import Claimed
from tests.processes.launcher import QUICK, Launcher
from tests.waiting import LIMIT, wait_until

OLD = """
from fleet_q import FleetQ
app = FleetQ()
@app.task("old")
def old(): return "old"
"""
NEW = f"""{OLD}
@app.task("new")
def new(): return "new"
"""


@pytest.fixture
def launchers(tmp_path: Path) -> Iterator[tuple[Launcher, Launcher]]:
    """Starts pods of the old and of the new version."""
    (tmp_path / "old_app.py").write_text(OLD)
    (tmp_path / "new_app.py").write_text(NEW)
    url = f"sqlite:///{tmp_path / 'fleet.db'}"
    old, new = (Launcher(tmp_path, url, f"{name}_app:app", QUICK) for name in ("old", "new"))
    yield old, new
    old.close()
    new.close()


def test_rolling_deployment_loses_and_fails_no_step(
    launchers: tuple[Launcher, Launcher],
) -> None:
    old, new = launchers
    fleet = FleetQ(old.url)
    replaced = [old.start(f"old-{number}") for number in range(2)]
    first = [fleet.submit({"task_type": ("old", "new")[n % 2]}, priority=n % 2) for n in range(60)]
    wait_until(lambda: len(fleet.store.pods().pods) == 2)  # or a signal would end one that starts
    wait_until(lambda: fleet.queue()["completed"] == 30)
    assert fleet.queue()["pending"] == 30, "steps that no pod knows wait"

    new.start("new-0")
    second = fleet.submit_many({"task_type": ("old", "new")[n % 2]} for n in range(60))
    for pod in replaced:
        pod.send_signal(signal.SIGTERM)
        assert pod.wait(LIMIT) == 0
    new.start("new-1")
    wait_until(lambda: fleet.queue()["completed"] == 120)

    counts = fleet.queue()
    assert (counts["completed"], counts["failed"], counts["pending"]) == (120, 0, 0)
    assert [fleet.status(i).result for i in (*first, *second)] == ["old", "new"] * 60
    events = list(fleet.store.step_events())
    claims = {(e.stream, e.pod_id) for e in events if isinstance(e.fact, Claimed)}
    new_steps = {*first[1::2], *second[1::2]}
    assert not [
        claim for claim in claims if claim[0] in new_steps and claim[1] in ("old-0", "old-1")
    ]
    assert audit(events).faults == []
    assert fleet.store.rebuild(check=True).equal
    fleet.close()


def test_unserved_steps_run_when_a_pod_comes_that_knows_them(
    launchers: tuple[Launcher, Launcher],
) -> None:
    old, new = launchers
    fleet = FleetQ(old.url)
    threshold = "60"  # a pod of a slow machine counts as live
    old.start("old", FLEET_Q_VERSION="1.0", FLEET_Q_DEAD_POD_THRESHOLD=threshold)
    step_ids = [fleet.submit({"task_type": "new"}) for _ in range(3)]
    told = "unserved: no live pod takes task type 'new' of queue 'default'"
    wait_until(lambda: told in old.log("old").read_text())
    (row,) = fleet.queue_stats().queues
    assert (row.task_type, row.pending, row.unserved) == ("new", 3, True)

    new.start("new", FLEET_Q_VERSION="2.0", FLEET_Q_DEAD_POD_THRESHOLD=threshold)
    assert [fleet.wait(step_id, LIMIT).claimed_by for step_id in step_ids] == ["new"] * 3
    assert not any(row.unserved for row in fleet.queue_stats().queues)
    assert old.log("old").read_text().count(told) == 1
    pods = {pod.pod_id: (pod.version, pod.task_types) for pod in fleet.pods(only_live=True)}
    assert pods == {"old": ("1.0", ("old",)), "new": ("2.0", ("new", "old"))}
    assert fleet.store.rebuild(check=True).equal
    fleet.close()


def test_worker_claims_from_the_queues_that_it_is_started_for(
    launchers: tuple[Launcher, Launcher],
) -> None:
    old, _ = launchers
    fleet = FleetQ(old.url)
    gpu, other = (fleet.submit({"task_type": "old"}, queue=queue) for queue in ("gpu", "other"))
    old.start("gpu-worker", "worker", "--queues", "gpu")
    assert fleet.wait(gpu, LIMIT).claimed_by == "gpu-worker"
    assert fleet.status(other).status == "pending"
    old.start("other-worker", FLEET_Q_QUEUES="default, other")
    assert fleet.wait(other, LIMIT).claimed_by == "other-worker"
    fleet.close()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ([], "name your app with --app MODULE:APP or FLEET_Q_APP"),
        (["--app", "empty:app"], "empty:app has no task and no executor"),
    ],
    ids=["no app", "app without functions"],
)
def test_worker_without_functions_refuses_to_start(
    tmp_path: Path, options: list[str], why: str
) -> None:
    (tmp_path / "empty.py").write_text("from fleet_q import FleetQ\napp = FleetQ()\n")
    command = [sys.executable, "-m", "fleet_q", "worker", "--store", "sqlite:///q.db", *options]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT)
    assert refused.returncode == 1
    assert refused.stderr.endswith(
        f"no function is registered, so this worker would run nothing: {why}\n"
    )
    assert not (tmp_path / "q.db").exists()
