"""Pruning: which steps and pods, how often, and at which load."""

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
from tests.core.helpers import AT, LIVES, Driver, live, live_pod

HOUR = 3_600.0
DAY = 24 * HOUR


@pytest.mark.parametrize("status", STEP_STATUSES)
@pytest.mark.parametrize("statuses", [PRUNED_BY_DEFAULT, FINAL])
def test_step_is_prunable_from_the_time_of_its_final_status(status: str, statuses: Any) -> None:
    step = live(*LIVES[status])

    def is_prunable_before(before: int) -> bool:
        return is_prunable(step.status, step.last_update_ts, statuses, before)

    prunable = {"completed", "cancelled"} | ({"failed"} & set(statuses))
    assert is_prunable_before(AT) == is_prunable_before(AT + 1) == (status in prunable)
    assert not is_prunable_before(AT - 1)


def test_pods_that_are_down_or_asleep_are_prunable() -> None:
    joined = Join("pod", "one")
    inactive = [live_pod(joined, Leave("pod", "one")), live_pod(joined, Sleep("pod", "one"))]
    active = [live_pod(joined), live_pod(joined, Drain("pod", "one"))]
    assert prunable_pods([*inactive, *active], AT) == inactive
    assert prunable_pods(inactive, AT - 1) == []


def test_cycle_uses_at_most_a_fifth_of_the_time() -> None:
    assert 0.01 / (0.01 + pause(0.01)) == pytest.approx(0.2)
    assert pause(60) == MAX_PAUSE


def test_prune_interval_is_a_tenth_of_the_age_but_at_most_an_hour() -> None:
    assert interval(30 * DAY) == MAX_INTERVAL == HOUR
    assert interval(HOUR) == HOUR / 10


def prunes(driver: Driver, seconds: float) -> int:
    """The number of prunes within ``seconds``, with one plan each second."""
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


def test_first_recovery_cycle_prunes_and_then_one_in_every_interval() -> None:
    driver = Driver(prune_after=30 * DAY)
    assert prunes(driver, 10) == 1
    assert prunes(driver, HOUR - 60) == 0
    assert prunes(driver, 3 * HOUR) == 3
    assert prunes(Driver(prune_after=10, recovery_interval=30), 120) == 4


def test_nothing_is_pruned_without_prune_after() -> None:
    assert prunes(Driver(), 3 * HOUR) == 0


def test_sleeping_pod_prunes_only_after_work_wakes_it() -> None:
    driver = Driver(prune_after=30 * DAY, traits=StoreTraits(writes_are_billed=True))
    assert prunes(driver, 10 * 60) == 1
    assert driver.machine.phase == "asleep"
    assert prunes(driver, 3 * HOUR) == 0
    driver.machine.work_arrived()
    assert prunes(driver, 60) == 1
