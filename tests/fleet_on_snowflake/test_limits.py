"""Limits of queues hold on the stand-in for Snowflake, with pods that are killed."""

from __future__ import annotations

import subprocess

from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.audit import audit
from tests.processes.launcher import Launcher
from tests.processes.limits import assert_limits_held, kill_again_and_again, submit_under_limits
from tests.waiting import wait_until


def test_no_more_steps_run_at_once_than_the_limits_of_their_queues_allow(
    store: SnowflakeStore, processes: Launcher, full_size: bool
) -> None:
    count, kills = (2_000, 20) if full_size else (60, 2)
    submit_under_limits(store, count)

    def start(pod_id: str) -> subprocess.Popen[bytes]:
        """A pod with so few slots that three of them leave room in the queues for the fourth."""
        return processes.start(
            pod_id,
            FLEET_Q_DEAD_POD_THRESHOLD="6",
            FLEET_Q_MAX_PARALLELISM="4",
            FLEET_Q_CAPACITY_THRESHOLD="1",
        )

    for number in range(3):
        start(f"pod-{number}")
    kill_again_and_again(lambda: start("victim"), store, "victim", kills)
    start("victim")
    wait_until(lambda: store.counts()["completed"] == count)
    assert_limits_held(store)
    report = audit(store.step_events())
    assert (report.completed, report.faults) == (count, [])
