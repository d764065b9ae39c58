"""What a pod does when the store does not answer, or no longer knows it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.ports import StoreTraits
from fleet_q.core.worker.store_backoff import LONGEST_CONTENDED, STORE_RETRY_BASE, STORE_RETRY_CAP
from tests.core.helpers import Driver, up


def test_unanswered_sync_is_repeated_unchanged() -> None:
    driver = up("a", "b")
    driver.finish("a")
    request = driver.sync()
    for _ in range(3):
        driver.wait(
            driver.machine.on_store_unavailable(driver.now) + 12
        )  # a heartbeat falls due too
        driver.finish("b")
        driver.machine.work_arrived()
        assert driver.sync() == replace(request, is_retry=True)


def test_unavailable_store_is_not_called_before_the_wait_is_over() -> None:
    driver = Driver()
    driver.sync()
    wait = driver.machine.on_store_unavailable(driver.now)
    plan = driver.plan()
    assert (plan.request, plan.next_at) == (None, driver.now + wait)
    driver.wait(wait)
    assert driver.sync().is_retry


def test_waits_double_up_to_a_cap_and_restart_after_an_answer() -> None:
    driver = Driver(chance=lambda: 1.0)
    for _ in range(2):
        waits = []
        for _ in range(9):
            driver.sync()
            waits.append(driver.machine.on_store_unavailable(driver.now))
            driver.wait(waits[-1])
        assert waits[:3] == [STORE_RETRY_BASE, 2 * STORE_RETRY_BASE, 4 * STORE_RETRY_BASE]
        assert waits[-2:] == [STORE_RETRY_CAP] * 2
        driver.sync_once()
        driver.wait(10)


def slow_heartbeat(driver: Driver, seconds: float) -> None:
    """A heartbeat that takes so long; then the next is due."""
    driver.wait(10)
    request = driver.sync()
    driver.wait(seconds)
    driver.answer(request)
    driver.wait(10)


def test_wait_doubles_with_every_rejection_up_to_a_limit() -> None:
    driver = up()
    slow_heartbeat(driver, 2.0)
    waits = []
    for _ in range(9):
        driver.sync()
        waits.append(driver.machine.on_store_unavailable(driver.now, contended=True))
        driver.wait(LONGEST_CONTENDED)
    assert waits[:2] == [2.0, 4.0]
    assert set(waits[2:]) == {LONGEST_CONTENDED / 2}


def test_wait_after_rejection_is_short_where_syncs_are_fast() -> None:
    driver = up(traits=StoreTraits(most_waiters=20, shortest_sync=0.5))
    slow_heartbeat(driver, 0.05)
    driver.sync()
    assert driver.machine.on_store_unavailable(driver.now, contended=True) == pytest.approx(0.5)


def test_wait_after_rejection_is_shorter_than_a_heartbeat_interval() -> None:
    driver = up(heartbeat_interval=1.0)
    slow_heartbeat(driver, 2.0)
    driver.sync()
    assert driver.machine.on_store_unavailable(driver.now, contended=True) == 0.5


def test_heartbeat_rejected_with_a_claim_is_sent_alone() -> None:
    driver = up("a")
    driver.wait(10)
    request = driver.sync()
    assert isinstance(request.pod_command, SendHeartbeat)
    assert request.claim
    driver.wait(driver.machine.on_store_unavailable(driver.now, contended=True))
    alone = driver.sync()
    assert (alone.pod_command, alone.claim, alone.outcomes) == (request.pod_command, 0, ())
    assert alone.check_held == request.check_held
    driver.answer(alone)
    assert driver.sync().claim == request.claim


def test_draining_pod_retries_a_contended_store_several_times_within_its_grace() -> None:
    driver = up("a", shutdown_grace=8.0)
    slow_heartbeat(driver, 2.0)
    driver.machine.drain(driver.now)
    waits = []
    for _ in range(3):
        driver.sync()
        waits.append(driver.machine.on_store_unavailable(driver.now, contended=True))
        driver.wait(waits[-1])
    assert waits == [2.0, 1.5, 1.125]


def test_rejected_sync_is_rebuilt_and_not_repeated() -> None:
    driver = up("a")
    driver.wait(5)
    request = driver.sync()
    driver.wait(driver.machine.on_store_unavailable(driver.now, contended=True))
    driver.finish("a")
    anew = driver.sync()
    assert not anew.is_retry
    assert anew.claim_token != request.claim_token
    assert [outcome.step_id for outcome in anew.outcomes] == ["a"]


def test_unanswered_sync_is_repeated_unchanged_after_a_rejection() -> None:
    driver = up("a")
    driver.wait(5)
    request = driver.sync()
    driver.wait(driver.machine.on_store_unavailable(driver.now))
    assert driver.sync() == replace(request, is_retry=True)
    driver.wait(driver.machine.on_store_unavailable(driver.now, contended=True))
    assert driver.sync() == replace(request, is_retry=True)


def test_end_of_incarnation_restarts_the_waits() -> None:
    driver = Driver(chance=lambda: 1.0)
    for _ in range(9):
        driver.sync()
        driver.wait(driver.machine.on_store_unavailable(driver.now))
    driver.sync()
    driver.machine.on_incarnation_ended()
    driver.sync()
    assert driver.machine.on_store_unavailable(driver.now) == STORE_RETRY_BASE


def test_later_outcomes_follow_with_the_late_heartbeat() -> None:
    driver = up("a", "b")
    driver.finish("a")
    driver.sync()
    driver.finish("b")
    driver.machine.on_store_unavailable(driver.now)
    driver.wait(15)
    assert [outcome.step_id for outcome in driver.sync_once().outcomes] == ["a"]
    request = driver.sync_once()
    assert [outcome.step_id for outcome in request.outcomes] == ["b"]
    assert request.pod_command is not None


def test_functions_time_out_while_the_store_is_unavailable() -> None:
    driver = up("a", timeout=1.0)
    driver.wait(0.9)
    driver.machine.work_arrived()
    driver.sync()
    for _ in range(8):
        driver.machine.on_store_unavailable(driver.now)
    assert driver.plan().next_at == 101.0
    driver.wait(0.1)
    assert driver.plan().abandon == driver.claims("a")


def test_no_recovery_begins_while_the_store_is_unavailable() -> None:
    driver = Driver(recovery_interval=0.01)
    driver.sync_once()
    driver.machine.work_arrived()
    driver.sync()
    wait = driver.machine.on_store_unavailable(driver.now)
    driver.wait(wait / 2)
    assert not driver.plan().recover
    driver.wait(wait / 2)
    assert driver.plan().recover


def test_claim_is_repeated_with_its_token_after_a_lost_answer() -> None:
    driver = Driver()
    token = driver.sync().claim_token
    driver.wait(driver.machine.on_store_unavailable(driver.now))
    again = driver.sync()
    assert again.claim_token == token
    assert driver.answer(again, "a") == ["a"]


def test_pod_declared_dead_joins_as_a_new_incarnation() -> None:
    driver = up("a")
    old = driver.machine.incarnation
    driver.wait(10)
    driver.sync()
    driver.machine.on_incarnation_ended()
    request = driver.sync()
    assert request.incarnation != old
    assert request.pod_command == Join("pod", request.incarnation)
    assert not request.is_retry


def test_pod_that_joins_again_checks_its_claims() -> None:
    driver = up("a", "b")
    driver.wait(10)
    driver.sync()
    driver.machine.on_incarnation_ended()
    request = driver.sync()
    assert request.check_held == driver.claims("a", "b")
    driver.answer(request, lost=("b",))
    assert driver.plan().abandon == driver.claims("b")
    assert driver.finish("a")


def test_unrecorded_outcome_is_sent_again_when_the_pod_joins_again() -> None:
    driver = up("a")
    driver.finish("a")
    outcomes = driver.sync().outcomes
    driver.machine.on_incarnation_ended()
    assert driver.sync().outcomes == outcomes


def test_pod_that_joins_again_claims_for_its_free_slots_only() -> None:
    driver = up("a", "b")
    driver.wait(10)
    driver.sync()
    driver.machine.on_incarnation_ended()
    assert driver.sync().claim == 4
