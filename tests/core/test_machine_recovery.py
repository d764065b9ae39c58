"""When a pod begins recovery cycles, and which pods it declares dead."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleet_q.core.pod import Pod, SendHeartbeat, Sleep
from fleet_q.core.ports import PodList
from fleet_q.core.worker.store_backoff import LONGEST_WATCHING
from tests.core.helpers import AT, Driver, up
from tests.core.test_machine_sleep import Sleeper


def silent_ids(driver: Driver, *pods: Pod) -> list[str]:
    """The ids of the pods to declare dead when a recovery cycle reads these pods."""
    return [pod.pod_id for pod in driver.machine.silent(PodList(AT, pods), driver.now)]


def other(version: int = 1) -> Pod:
    return Pod("other", "up", 0, 0, "two", version)


def go_on(driver: Driver, seconds: float, *, every: float = 1.0) -> list[float]:
    """Let time pass while the store answers every sync. Returns when recovery cycles were due."""
    until, due = driver.now + seconds, []
    while driver.now < until:
        driver.wait(every)
        plan = driver.plan()
        if plan.request is not None:
            driver.answer(plan.request)
        if plan.recover:
            due.append(driver.now)
            silent_ids(driver, other())
    return due


def test_recovery_cycle_is_due_every_recovery_interval() -> None:
    driver = up(recovery_interval=30)
    began = driver.now
    assert [at - began for at in go_on(driver, 59)] == [30]


def test_recovery_cycle_is_due_when_a_pod_has_been_silent_for_the_threshold() -> None:
    driver = up(recovery_interval=50, dead_pod_threshold=60)
    silent_ids(driver, other())
    began = driver.now
    assert [at - began for at in go_on(driver, 100)] == [50, 60]


def test_pod_is_declared_dead_after_a_threshold_shorter_than_the_recovery_interval() -> None:
    driver = up(recovery_interval=300, dead_pod_threshold=20, heartbeat_interval=10)
    silent_ids(driver, other())
    began = driver.now
    assert [at - began for at in go_on(driver, 100)] == [20]
    assert silent_ids(driver, other()) == ["other"]


def test_recovery_cycles_of_an_unavailable_store_follow_ever_more_slowly() -> None:
    driver = up(recovery_interval=30, chance=lambda: 0.999)
    waits = []
    for _ in range(8):
        while not driver.plan().recover:
            driver.wait(0.25)
        began = driver.now
        driver.machine.on_recovery_ended(driver.now, "error 503", was_unavailable=True)
        while not driver.plan().recover:
            driver.wait(0.25)
        waits.append(driver.now - began)
    assert waits[0] <= 1.25
    assert sorted(waits) == waits
    assert waits[-1] == 30


def test_recovery_cycle_that_succeeded_or_was_rejected_begins_again_after_the_interval() -> None:
    for error in (None, "no privilege"):
        driver = up(recovery_interval=30)
        driver.machine.on_recovery_ended(driver.now, error)
        began = driver.now
        assert [at - began for at in go_on(driver, 40)] == [30]


def test_heartbeat_is_sent_before_a_pod_is_declared_dead() -> None:
    driver = up(recovery_interval=60, dead_pod_threshold=60, heartbeat_interval=7)
    silent_ids(driver, other())
    go_on(driver, 59)
    driver.wait(1)

    plan = driver.plan()

    assert plan.recover
    assert plan.request is not None
    assert isinstance(plan.request.pod_command, SendHeartbeat)
    assert silent_ids(driver, other()) == []
    driver.answer(plan.request)
    assert silent_ids(driver, other()) == ["other"]


def test_silence_is_measured_anew_after_the_store_was_unavailable() -> None:
    driver = up(recovery_interval=10, dead_pod_threshold=60, heartbeat_interval=10)
    silent_ids(driver, other())
    go_on(driver, 30)
    request = driver.plan().request
    while request is None:
        driver.wait(1)
        request = driver.plan().request
    driver.wait(180)  # behind a lock, or the process is suspended
    assert silent_ids(driver, other()) == []
    driver.answer(request)
    assert silent_ids(driver, other()) == []
    go_on(driver, 59)
    assert silent_ids(driver, other()) == []
    go_on(driver, 10)
    assert silent_ids(driver, other()) == ["other"]


def test_unavailable_store_is_retried_within_half_a_heartbeat_interval() -> None:
    driver = up(heartbeat_interval=1, dead_pod_threshold=2, chance=lambda: 0.999)
    driver.wait(1)
    for _ in range(20):
        assert driver.plan().request is not None
        wait = driver.machine.on_store_unavailable(driver.now)
        assert wait <= 0.5
        driver.wait(wait)


def test_pod_that_woke_to_lead_stays_awake_until_it_has_detected_silent_pods() -> None:
    driver = Sleeper(sleep_after=5.0, dead_pod_threshold=60.0)
    driver.leaders = ()
    driver.live(60, asleep=True, any_claimed=True)
    driver.live(80, asleep=False, any_claimed=True)


def commands_of_idle_pod(seconds: int, pods: Callable[[int], list[Pod]]) -> list[tuple[int, type]]:
    """Let a pod be idle for so long, while its recovery cycles read ``pods(second)``. Returns its
    commands and when it sent them."""
    driver = Sleeper(sleep_after=60.0, dead_pod_threshold=60.0, recovery_interval=30.0)
    commands = []
    for second in range(seconds):
        plan = driver.plan()
        if plan.request is not None:
            driver.answer(plan.request)
            commands.append((second, type(plan.request.pod_command)))
        if plan.poll:
            driver.machine.on_change_counter(1, driver.now)
        if plan.recover:
            silent_ids(driver, *pods(second))
        driver.wait(1)
    return commands


def test_pod_does_not_fall_asleep_while_another_is_missed() -> None:
    commands = commands_of_idle_pod(240, lambda second: [other()] if second < 120 else [])
    assert all(second > 120 for second, command in commands if command is Sleep)
    assert commands[-1][1] is Sleep


@pytest.mark.parametrize(("birth", "sleeps"), [(1, True), (9, False)])
def test_pod_falls_asleep_while_another_is_missed_if_an_older_pod_is_awake(
    birth: int, sleeps: bool
) -> None:
    def pods(second: int) -> list[Pod]:
        itself = Pod("pod", "up", 5, 0, "one", second)
        return [other(), Pod("awake", "up", birth, 0, "three", second), itself]

    commands = commands_of_idle_pod(120, pods)
    assert any(command is Sleep for _, command in commands) == sleeps


def test_pod_that_has_to_declare_another_dead_retries_a_rejected_heartbeat_soon() -> None:
    driver = up(dead_pod_threshold=60, heartbeat_interval=10, chance=lambda: 0.999)
    for _ in range(4):
        silent_ids(driver, other())
        driver.wait(10)
        request = driver.sync()
        driver.wait(1)  # so that twenty pods in the queue take twenty seconds
        driver.answer(request)
    silent_ids(driver, other())
    driver.wait(10)
    for _ in range(8):
        assert isinstance(driver.sync().pod_command, SendHeartbeat)
        wait = driver.machine.on_store_unavailable(driver.now, contended=True)
        assert wait <= LONGEST_WATCHING
        driver.wait(wait)
