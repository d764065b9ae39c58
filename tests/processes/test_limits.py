"""Limits of queues hold across processes, one of which is killed again and again."""

from __future__ import annotations

import subprocess

from fleet_q.core.audit import audit
from tests.processes.conftest import Pods
from tests.processes.limits import assert_limits_held, kill_again_and_again, submit_under_limits
from tests.waiting import wait_until


def test_no_more_steps_run_at_once_than_the_limits_of_their_queues_allow(
    pods: Pods, full_size: bool
) -> None:
    def victim() -> subprocess.Popen[bytes]:
        """A pod that holds what it has claimed until it is killed."""
        return pods.start("victim", NAP_SECONDS="3600")

    count, kills = (2_000, 20) if full_size else (300, 4)
    submit_under_limits(pods.store, count)
    kill_again_and_again(victim, pods.store, "victim", 1)
    for number in range(3):
        pods.start(f"pod-{number}")
    kill_again_and_again(victim, pods.store, "victim", kills - 1)
    pods.start("victim")
    wait_until(lambda: pods.store.counts()["completed"] == count)
    assert_limits_held(pods.store)
    report = audit(pods.store.step_events())
    assert (report.completed, report.faults) == (count, [])
    assert report.recovered > 0
    assert pods.store.rebuild(check=True).equal
