"""What may be pruned, how often, and how gently."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_q.core.cycle import MAX_PAUSE, pause
from fleet_q.core.lifecycle import FINAL, STEP_STATUSES
from fleet_q.core.pod import Drain, Join, Leave, Sleep
from fleet_q.core.ports import StoreTraits
from fleet_q.core.pruning import (
    MAX_INTERVAL,
    PRUNED_BY_DEFAULT,
    interval,
    is_prunable,
    prunable_pods,
)

from .helpers import AT, LIVES, Driver, live, live_pod

HOUR = 3_600.0
DAY = 24 * HOUR


@pytest.mark.parametrize("status", STEP_STATUSES)
@pytest.mark.parametrize("statuses", [PRUNED_BY_DEFAULT, FINAL])
def test_what_has_ended_may_go_from_its_end_on(status: str, statuses: Any) -> None:
    step = live(*LIVES[status])

    def may_go(before: int) -> bool:
        return is_prunable(step.status, step.last_update_ts, statuses, before)

    ends = {"completed", "cancelled"} | ({"failed"} & set(statuses))
    assert may_go(AT) == may_go(AT + 1) == (status in ends)
    assert not may_go(AT - 1)


def test_pods_may_go_that_are_not_awaited() -> None:
    joined = Join("pod", "one")
    gone = [live_pod(joined, Leave("pod", "one")), live_pod(joined, Sleep("pod", "one"))]
    there = [live_pod(joined), live_pod(joined, Drain("pod", "one"))]
    assert prunable_pods([*gone, *there], AT) == gone
    assert prunable_pods(gone, AT - 1) == []


def test_most_of_the_time_is_the_fleets() -> None:
    assert 0.01 / (0.01 + pause(0.01)) == pytest.approx(0.2)
    assert pause(60) == MAX_PAUSE


def test_a_leader_prunes_by_the_hour_or_as_often_as_it_makes_a_difference() -> None:
    assert interval(30 * DAY) == MAX_INTERVAL == HOUR
    assert interval(HOUR) == HOUR / 10


def prunes(driver: Driver, seconds: float) -> int:
    """How many come within that time, asked every second."""
    count = 0
    for _ in range(round(seconds)):
        plan = driver.plan()
        assert plan.recover or not plan.prune
        count += plan.prune
        if plan.request is not None:
            driver.answer(plan.request)
        if plan.poll:
            driver.machine.on_change_counter(7, driver.now)
        driver.wait(1)
    return count


def test_the_first_cycle_prunes_and_then_one_in_every_interval() -> None:
    driver = Driver(prune_after=30 * DAY)
    assert prunes(driver, 10) == 1
    assert prunes(driver, HOUR - 60) == 0
    assert prunes(driver, 3 * HOUR) == 3
    assert prunes(Driver(prune_after=10, recovery_interval=30), 120) == 4


def test_without_the_setting_nothing_is_pruned() -> None:
    assert prunes(Driver(), 3 * HOUR) == 0


def test_a_pod_that_sleeps_prunes_nothing_until_work_wakes_it() -> None:
    driver = Driver(prune_after=30 * DAY, traits=StoreTraits(writes_are_billed=True))
    assert prunes(driver, 10 * 60) == 1
    assert driver.machine.phase == "asleep"
    assert prunes(driver, 3 * HOUR) == 0
    driver.machine.work_arrived()
    assert prunes(driver, 60) == 1
