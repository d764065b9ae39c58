"""When pods fire schedules: the leader in time, sleepers if nobody has."""

from __future__ import annotations

import math

import pytest

from fleet_q.core.settings import PodSettings
from fleet_q.core.worker.firing_timer import FiringTimer

SECOND = 1_000_000
NOW = 100.0
AT = 5_000 * SECOND
SETTINGS = PodSettings()


def timer(*, leads: bool = True) -> FiringTimer:
    made = FiringTimer(SETTINGS, lambda: 0.5)
    made.leads = leads
    return made


def test_fleet_without_schedules_never_looks_at_them() -> None:
    made = timer()
    made.observe(None, AT, NOW)
    assert made.due_at("up") == made.due_at("asleep") == math.inf


def test_leader_fires_in_time_awake_or_asleep() -> None:
    made = timer()
    made.observe(AT + 7 * SECOND, AT, NOW)
    assert made.due_at("up") == made.due_at("asleep") == NOW + 7


def test_overdue_firing_is_due_now() -> None:
    made = timer()
    made.observe(AT - SECOND, AT, NOW)
    assert made.due_at("up") == NOW


def test_other_pod_that_is_awake_leaves_it_to_the_leader() -> None:
    made = timer(leads=False)
    made.observe(AT, AT, NOW)
    assert made.due_at("up") == math.inf
    made.leads = True
    assert made.due_at("up") == NOW


def test_other_pod_that_sleeps_fires_if_nobody_has_for_a_while() -> None:
    made = timer(leads=False)
    made.observe(AT, AT, NOW)
    first = made.due_at("asleep")
    assert NOW + SETTINGS.sleep_poll_interval < first < math.inf
    made.observe(AT, AT + SECOND, NOW + 1)
    assert made.due_at("asleep") == first
    made.observe(AT + 60 * SECOND, AT + SECOND, NOW + 1)
    assert made.due_at("asleep") == pytest.approx(first + 60)


@pytest.mark.parametrize("phase", ["joining", "draining", "gone"])
def test_pod_that_joins_or_leaves_fires_nothing(phase: str) -> None:
    made = timer()
    made.observe(AT, AT, NOW)
    assert made.due_at(phase) == math.inf  # type: ignore[arg-type]


def test_earlier_firing_replaces_a_later_one() -> None:
    made = timer()
    made.observe(AT + 60 * SECOND, AT, NOW)
    made.observe(AT + 5 * SECOND, AT, NOW)
    assert made.due_at("up") == NOW + 5


def test_failure_is_tried_again_after_a_recovery_interval() -> None:
    made = timer()
    made.observe(AT, AT, NOW)
    made.on_begun()
    assert made.due_at("up") == math.inf
    made.on_failed(NOW)
    made.observe(AT, AT + SECOND, NOW + 1)
    assert made.due_at("up") == NOW + SETTINGS.recovery_interval
