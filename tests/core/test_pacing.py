"""How soon a pod claims after a change that all pods see."""

from __future__ import annotations

import pytest

from fleet_q.core.ports import StoreTraits
from fleet_q.core.worker.pacing import JITTER_DECAY, JITTER_FACTOR, LONGEST_JITTER, ClaimPacing
from tests.core.helpers import Driver

CONTENDED = StoreTraits(writes_are_billed=True, most_waiters=20, shortest_sync=0.5)


def took(pacing: ClaimPacing, *seconds: float) -> None:
    """Report one sync for each of these durations."""
    for duration in seconds:
        pacing.on_sent(100.0)
        pacing.on_synced(100.0 + duration, is_representative=True)


def half() -> float:
    return 0.5


def test_pod_whose_syncs_never_waited_claims_at_once() -> None:
    pacing = ClaimPacing(CONTENDED)
    took(pacing, 0.5, 0.5, 0.5)
    assert pacing.claim_at(7.0, half) == 7.0


def test_sync_that_is_not_representative_does_not_widen_the_jitter_window() -> None:
    pacing = ClaimPacing(CONTENDED)
    pacing.on_sent(100.0)
    pacing.on_synced(100.1, is_representative=False)
    took(pacing, 1.1, 1.1)
    assert pacing.claim_at(7.0, half) == 7.0


def test_jitter_window_is_a_multiple_of_the_time_a_sync_waited() -> None:
    pacing = ClaimPacing(CONTENDED)
    took(pacing, 0.5, 2.5)
    assert pacing.claim_at(7.0, half) == pytest.approx(7.0 + JITTER_FACTOR * 2.0 / 2)


def test_jitter_window_decays_with_every_sync_that_did_not_wait() -> None:
    pacing = ClaimPacing(CONTENDED)
    took(pacing, 0.5, 2.5, 0.5, 0.5)
    assert pacing.claim_at(0.0, half) == pytest.approx(JITTER_FACTOR * 2.0 / 2 * JITTER_DECAY**2)


@pytest.mark.parametrize("combines", [False, True])
def test_only_outcomes_for_a_store_that_combines_linger_for_a_whole_sync(combines: bool) -> None:
    pacing = ClaimPacing(StoreTraits(combines=combines))
    took(pacing, 0.5, 2.0)
    assert pacing.is_lingering(0.0, has_free_slots=False)
    assert pacing.linger_until == (2.0 if combines else 0.2)


def test_rejection_doubles_the_jitter_window() -> None:
    pacing = ClaimPacing(CONTENDED)
    took(pacing, 0.75)
    pacing.on_rejected()
    assert pacing.claim_at(0.0, half) == pytest.approx(0.75)
    pacing.on_rejected()
    assert pacing.claim_at(0.0, half) == pytest.approx(1.5)


def test_queue_duration_is_at_most_the_fastest_sync_times_the_most_waiters() -> None:
    pacing = ClaimPacing(CONTENDED)
    pacing.on_sent(100.0)
    pacing.on_synced(100.5, is_representative=False)
    pacing.on_rejected()
    pacing.on_rejected()
    assert pacing.queue_duration == 2.0
    took(pacing, 0.5, 0.25, 3.0)
    assert pacing.queue_duration == pytest.approx(20 * 0.25)


def test_queue_duration_is_the_jitter_window_if_waiters_are_unlimited() -> None:
    pacing = ClaimPacing(StoreTraits(most_waiters=None))
    took(pacing, 0.25, 3.0)
    pacing.on_rejected()
    assert pacing.queue_duration == 2 * JITTER_FACTOR * 2.75


def test_first_rejection_widens_the_jitter_window_to_twice_the_shortest_sync() -> None:
    for seconds in (0.5, 3.0):
        pacing = ClaimPacing(StoreTraits(most_waiters=20, shortest_sync=seconds))
        pacing.on_rejected()
        assert pacing.queue_duration == 2 * seconds


def test_jitter_window_bounds_the_queue_duration_of_a_pod_whose_syncs_all_waited() -> None:
    pacing = ClaimPacing(CONTENDED)
    took(pacing, 3.0)
    pacing.on_rejected()
    assert pacing.queue_duration == 2 * 3.0


def test_joining_resets_the_jitter_window() -> None:
    pacing = ClaimPacing(CONTENDED)
    for _ in range(5):
        pacing.on_rejected()
    pacing.on_joined()
    assert pacing.claim_at(7.0, half) == 7.0


def test_jitter_window_has_an_upper_limit() -> None:
    pacing = ClaimPacing(CONTENDED)
    took(pacing, 0.5, 60.0)
    for _ in range(9):
        pacing.on_rejected()
    assert pacing.claim_at(0.0, half) == LONGEST_JITTER / 2


def test_pod_whose_sync_waited_claims_within_its_jitter_window_after_a_change() -> None:
    driver = Driver(
        traits=StoreTraits(writes_are_billed=True), claim_interval=60.0, heartbeat_interval=20.0
    )
    driver.sync_once()
    for seconds in (0.0, 2.0):
        driver.machine.work_arrived()
        request = driver.sync()
        driver.wait(seconds)
        driver.answer(request, f"after {seconds} s")
    driver.machine.on_change_counter(1, driver.now)
    driver.machine.on_change_counter(2, driver.now)
    assert driver.plan().request is None
    driver.wait(JITTER_FACTOR * 2.0 / 2)
    assert driver.sync().claim == 4


def test_pod_claims_at_once_after_a_change_where_writes_are_not_billed() -> None:
    driver = Driver(traits=StoreTraits(poll_interval=0.01), heartbeat_interval=20.0)
    driver.sync_once()
    driver.machine.work_arrived()
    request = driver.sync()
    driver.wait(2.0)
    driver.answer(request, "a")
    driver.machine.on_change_counter(1, driver.now)
    driver.machine.on_change_counter(2, driver.now)
    assert driver.sync().claim == 5
