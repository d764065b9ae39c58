"""Pods that take only some steps, and pods that are replaced by other versions."""

from __future__ import annotations

import pytest

from fleet_q.core.settings import PodSettings
from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.fleet import Fleet
from fleet_q.services.simulation.models import KINDS, Kind

BEFORE = sc.Submission(
    5.0,
    tuple(
        sc.Work(step_id=f"{task_type}-{number}", task_type=task_type, seconds=30.0)
        for task_type in ("old", "both", "new", "gone")
        for number in range(4)
    ),
)


def run(kind: Kind, pods: list[sc.Start], faults: list[sc.Fault]) -> dict[str, str]:
    """The statuses of the steps at the end."""
    fleet = Fleet(
        sc.Scenario(
            seed=1,
            store=kind,
            settings=PodSettings(max_parallelism=2),
            seconds=1_200.0,
            pods=tuple(pods),
            requests=(BEFORE,),
            faults=tuple(faults),
        )
    )
    fleet.run()
    return {step_id: record.status for step_id, record in fleet.checks.steps.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_new_version_runs_steps_that_the_old_one_did_not_know(kind: Kind) -> None:
    statuses = run(
        kind,
        [sc.Start("a", task_types=("old", "both")), sc.Start("b", task_types=("old", "both"))],
        [sc.Upgrade(300.0, pod_id, 10.0, None, ("new", "both")) for pod_id in ("a", "b")],
    )
    assert {statuses.pop(f"gone-{number}") for number in range(4)} == {"pending"}
    assert set(statuses.values()) == {"completed"}


def test_step_of_queue_without_pods_waits() -> None:
    statuses = run("sqlite", [sc.Start("a", queues=("gpu",))], [])
    assert set(statuses.values()) == {"pending"}


def test_pod_that_is_down_restarts_as_the_new_version() -> None:
    statuses = run(
        "sqlite",
        [sc.Start("a", task_types=("old",))],
        [sc.Crash(100.0, "a", back_after=200.0), sc.Upgrade(200.0, "a", 1.0, None, ("new",))],
    )
    assert statuses["new-0"] == "completed"
