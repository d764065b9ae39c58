"""When a pod looks for pods that died, and what it needs to have heard before."""

from __future__ import annotations

import pytest

from fleet_q.core.pod import Pod, SendHeartbeat, Sleep
from fleet_q.core.ports import PodList
from fleet_q.core.worker.store_backoff import LONGEST_WATCHING

from .helpers import AT, Pilot, up
from .test_machine_sleep import Sleeper


def looks(pilot: Pilot, *pods: Pod) -> list[str]:
    """The recovery cycle that is due reads these pods; the ids of those to declare dead."""
    return [pod.pod_id for pod in pilot.machine.silent(PodList(AT, pods), pilot.now)]


def other(version: int = 1) -> Pod:
    return Pod("other", "up", 0, 0, "two", version)


def go_on(pilot: Pilot, seconds: float, *, every: float = 1.0) -> list[float]:
    """Let time pass with a store that takes every turn; when recovery cycles were due."""
    until, due = pilot.now + seconds, []
    while pilot.now < until:
        pilot.wait(every)
        plan = pilot.plan()
        if plan.request is not None:
            pilot.answer(plan.request)
        if plan.recover:
            due.append(pilot.now)
            looks(pilot, other())
    return due


def test_a_cycle_is_due_every_recovery_interval() -> None:
    pilot = up(recovery_interval=30)
    began = pilot.now
    assert [at - began for at in go_on(pilot, 59)] == [30]


def test_a_cycle_is_due_when_a_pod_has_been_silent_for_the_threshold() -> None:
    pilot = up(recovery_interval=50, dead_pod_threshold=60)
    looks(pilot, other())
    began = pilot.now
    assert [at - began for at in go_on(pilot, 100)] == [50, 60]


def test_a_threshold_shorter_than_the_recovery_interval_is_kept() -> None:
    pilot = up(recovery_interval=300, dead_pod_threshold=20, heartbeat_interval=10)
    looks(pilot, other())
    began = pilot.now
    assert [at - began for at in go_on(pilot, 100)] == [20]
    assert looks(pilot, other()) == ["other"]


def test_a_heartbeat_goes_before_a_pod_is_declared_dead() -> None:
    pilot = up(recovery_interval=60, dead_pod_threshold=60, heartbeat_interval=7)
    looks(pilot, other())
    go_on(pilot, 59)
    pilot.wait(1)

    plan = pilot.plan()

    assert plan.recover
    assert plan.request is not None
    assert isinstance(plan.request.pod_command, SendHeartbeat)
    assert looks(pilot, other()) == []
    pilot.answer(plan.request)
    assert looks(pilot, other()) == ["other"]


def test_after_the_store_was_away_a_whole_threshold_passes_before_a_pod_is_declared_dead() -> None:
    pilot = up(recovery_interval=10, dead_pod_threshold=60, heartbeat_interval=10)
    looks(pilot, other())
    go_on(pilot, 30)
    request = pilot.plan().request
    while request is None:
        pilot.wait(1)
        request = pilot.plan().request
    pilot.wait(180)  # a lock, or the process stands still
    assert looks(pilot, other()) == []
    pilot.answer(request)
    assert looks(pilot, other()) == []
    go_on(pilot, 59)
    assert looks(pilot, other()) == []
    go_on(pilot, 10)
    assert looks(pilot, other()) == ["other"]


def test_a_store_that_did_not_answer_is_asked_again_within_half_a_heartbeat_interval() -> None:
    pilot = up(heartbeat_interval=1, dead_pod_threshold=2, chance=lambda: 0.999)
    pilot.wait(1)
    for _ in range(20):
        assert pilot.plan().request is not None
        wait = pilot.machine.on_store_unavailable(pilot.now)
        assert wait <= 0.5
        pilot.wait(wait)


def test_a_sleeper_that_woke_to_lead_stays_awake_until_it_has_heard_who_is_silent() -> None:
    pilot = Sleeper(sleep_after=5.0, dead_pod_threshold=60.0)
    pilot.leaders = ()
    pilot.live(60, asleep=True, any_claimed=True)
    pilot.live(80, asleep=False, any_claimed=True)


def test_a_pod_that_misses_another_does_not_fall_asleep() -> None:
    pilot = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0, recovery_interval=30.0)
    presences = []
    for second in range(240):
        plan = pilot.plan()
        if plan.request is not None:
            pilot.answer(plan.request)
            presences.append(type(plan.request.pod_command))
        if plan.poll:
            pilot.machine.on_change_counter(1, pilot.now)
        if plan.recover:
            looks(pilot, *([other()] if second < 120 else []))
        assert second > 120 or Sleep not in presences
        pilot.wait(1)
    assert presences[-1] is Sleep


@pytest.mark.parametrize(("birth", "sleeps"), [(1, True), (9, False)])
def test_a_pod_that_misses_another_sleeps_if_an_older_pod_is_awake(
    birth: int, sleeps: bool
) -> None:
    pilot = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0, recovery_interval=30.0)
    presences = []
    for second in range(120):
        plan = pilot.plan()
        if plan.request is not None:
            pilot.answer(plan.request)
            presences.append(type(plan.request.pod_command))
        if plan.poll:
            pilot.machine.on_change_counter(1, pilot.now)
        if plan.recover:
            itself = Pod("pod", "up", 5, 0, "one", second)
            looks(pilot, other(), Pod("awake", "up", birth, 0, "three", second), itself)
        pilot.wait(1)
    assert (Sleep in presences) == sleeps


def test_a_pod_that_is_to_declare_another_dead_retries_a_crowded_heartbeat_soon() -> None:
    pilot = up(dead_pod_threshold=60, heartbeat_interval=10, chance=lambda: 0.999)
    for _ in range(4):
        looks(pilot, other())
        pilot.wait(10)
        request = pilot.sync()
        pilot.wait(1)  # so that twenty who wait for a lock take twenty seconds
        pilot.answer(request)
    looks(pilot, other())
    pilot.wait(10)
    for _ in range(8):
        assert isinstance(pilot.sync().pod_command, SendHeartbeat)
        wait = pilot.machine.on_store_unavailable(pilot.now, contended=True)
        assert wait <= LONGEST_WATCHING
        pilot.wait(wait)
