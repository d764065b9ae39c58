"""A pod with a store that answers: it joins, claims, runs, records and sends heartbeats."""

from __future__ import annotations

import pytest

from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.step import Complete, Fail, Release, Snooze
from fleet_q.core.worker.claim_schedule import SHORTEST_CLAIM_WAIT
from fleet_q.core.worker.outbox import MOST_OUTCOMES
from tests.core.helpers import AT, Driver, up


def test_pod_joins_and_claims_in_one_sync() -> None:
    request = Driver().sync()
    assert request.pod_command == Join("pod", request.incarnation)
    assert request.claim == 6
    assert request.claim_token not in ("", request.incarnation)
    assert not request.is_retry


def test_claimed_steps_are_returned_to_run() -> None:
    driver = Driver()
    assert driver.answer(driver.sync(), "a", "b") == ["a", "b"]
    assert driver.machine.running == 2


def test_pod_claims_for_its_free_slots_only() -> None:
    driver = up("a", "b", max_parallelism=10, capacity_threshold=0.5)
    driver.wait(5)
    assert driver.sync().claim == 3


def test_full_pod_does_not_claim() -> None:
    driver = up(*"abcdef")
    driver.wait(9)
    plan = driver.plan()
    assert plan.request is None
    assert plan.next_at == 110.0  # its heartbeat


def test_next_claim_waits_for_the_claim_interval_if_the_last_was_not_filled() -> None:
    driver = up(*"abcde")
    assert driver.plan().next_at == 105.0
    driver.wait(4.9)
    assert driver.plan().request is None
    driver.wait(0.1)
    assert driver.sync().claim == 1


def test_pod_claims_at_once_after_a_claim_that_was_filled() -> None:
    driver = up(*"abcdef")
    driver.finish("a")
    driver.finish("b")
    request = driver.sync_once("g")
    assert (request.claim, len(request.outcomes)) == (2, 2)
    driver.finish("c")
    assert driver.sync().claim == 0  # the last claim was not filled


def test_every_claim_has_its_own_token_and_a_sync_without_a_claim_has_none() -> None:
    driver = up(*"abcdef")
    tokens = {driver.tokens["a"]}
    for step_id in "abc":
        driver.finish(step_id)
        request = driver.sync_once(f"{step_id}2")
        assert request.claim_token not in tokens
        tokens.add(request.claim_token)
    driver = up("a")
    driver.finish("a")
    assert driver.sync().claim_token == ""


def test_pod_claims_at_once_after_work_arrived() -> None:
    driver = up()
    driver.machine.work_arrived()
    assert driver.sync_once().claim == 6
    assert driver.plan().request is None


def test_pod_claims_when_a_delayed_step_is_due() -> None:
    driver = Driver()
    driver.sync_once(next_due=AT + 2_000_000)
    assert driver.plan().next_at == 102.0
    driver.wait(2)
    assert driver.sync().claim == 6


def test_step_due_after_the_next_claim_does_not_delay_that_claim() -> None:
    driver = Driver()
    driver.sync_once(next_due=AT + 60_000_000)
    assert driver.plan().next_at == 105.0


def test_pod_claims_when_the_step_is_due_that_a_sync_without_a_claim_reported() -> None:
    driver = up("a")
    driver.finish("a")
    driver.sync_once(next_due=AT + 1_000_000)
    assert driver.plan().next_at == 101.0


def test_pod_waits_the_shortest_claim_wait_for_a_step_that_is_due_now() -> None:
    driver = Driver()
    driver.sync_once(next_due=AT)
    assert driver.plan().next_at == 100.0 + SHORTEST_CLAIM_WAIT


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_pod_sends_a_heartbeat_every_interval(busy: bool) -> None:
    driver = up(*"abcdef")
    heartbeats = []
    for second in range(1, 61):
        driver.wait(1)
        if busy:
            for step_id in list(driver.tokens)[-6:]:
                driver.finish(step_id)
        while (request := driver.plan().request) is not None:
            if request.pod_command is not None:
                assert request.pod_command == SendHeartbeat("pod", request.incarnation)
                heartbeats.append(second)
            driver.answer(request, *(f"{second}-{n}" for n in range(request.claim)))
    assert heartbeats == [10, 20, 30, 40, 50, 60]


def test_heartbeat_checks_all_held_claims() -> None:
    driver = up("a", "b")
    driver.finish("b")
    assert driver.sync_once().check_held == ()  # no heartbeat is due
    driver.wait(10)
    assert driver.sync().check_held == driver.claims("a")


def test_one_sync_records_all_finished_outcomes() -> None:
    driver = up("a", "b", "c")
    for step_id in "ab":
        assert driver.finish(step_id)
    request = driver.sync_once()
    assert [outcome.step_id for outcome in request.outcomes] == ["a", "b"]
    assert driver.machine.running == 1
    assert driver.plan().request is None


def test_sync_records_at_most_1000_outcomes_and_the_next_the_rest() -> None:
    steps = [str(n) for n in range(MOST_OUTCOMES + 2)]
    driver = up(*steps, max_parallelism=2 * len(steps))
    for step_id in steps:
        driver.finish(step_id)
    first, second = driver.sync_once(), driver.sync_once()
    assert len(first.outcomes) == MOST_OUTCOMES
    assert [outcome.step_id for outcome in second.outcomes] == steps[MOST_OUTCOMES:]
    assert driver.plan().request is None


def test_outcome_that_finishes_during_a_sync_is_recorded_by_the_next() -> None:
    driver = up("a", "b")
    driver.finish("a")
    request = driver.sync()
    driver.finish("b")
    driver.answer(request)
    assert [outcome.step_id for outcome in driver.sync().outcomes] == ["b"]


def test_function_past_its_timeout_is_abandoned_and_its_attempt_fails() -> None:
    driver = up("a", timeout=3.0)
    assert driver.plan().next_at == 103.0
    driver.wait(3)
    plan = driver.plan()
    assert plan.abandon == driver.claims("a")
    assert plan.request is not None
    (outcome,) = plan.request.outcomes
    error = "TimeoutError: ran longer than 3 s"
    assert outcome == Fail("a", driver.tokens["a"], error, retry_delay=7_500_000)
    assert driver.machine.running == 0


def test_only_functions_past_their_timeout_are_abandoned() -> None:
    driver = up("a", timeout=6.0)
    driver.wait(5)
    driver.sync_once("b")
    driver.wait(1)
    assert driver.plan().abandon == driver.claims("a")
    driver.wait(4)
    assert driver.plan().abandon == ()
    driver.wait(1)
    assert driver.plan().abandon == driver.claims("b")


def test_function_without_a_timeout_is_never_abandoned() -> None:
    driver = up("a")
    driver.wait(1e9)
    assert driver.plan().abandon == ()
    assert driver.machine.running == 1


def test_outcome_of_an_abandoned_function_is_ignored() -> None:
    driver = up("a", timeout=3.0)
    driver.wait(3)
    driver.sync_once()
    assert not driver.finish("a")
    assert driver.plan().request is None


def test_outcome_of_an_earlier_attempt_is_ignored() -> None:
    driver = up("a", timeout=5.0)
    late = Complete("a", driver.tokens["a"], "null")
    driver.wait(5)
    driver.sync_once("a")
    assert not driver.machine.finished(late)
    assert driver.finish("a")


def test_second_outcome_of_a_claim_is_ignored() -> None:
    driver = up("a")
    assert driver.finish("a")
    assert not driver.finish("a")


def test_functions_of_lost_claims_are_abandoned() -> None:
    driver = up("a", "b")
    driver.wait(10)
    driver.sync_once(lost=("a",))
    assert driver.plan().abandon == driver.claims("a")
    assert driver.plan().abandon == ()
    assert driver.machine.running == 1
    assert not driver.finish("a")


def test_claims_that_the_pod_does_not_know_are_released() -> None:
    driver = up("a", "b")
    driver.wait(10)
    request = driver.sync()
    driver.finish("b")
    driver.answer(request, unexpected=(*driver.claims("a", "b"), ("late", "token")))
    released = [claim for claim in driver.sync().outcomes if isinstance(claim, Release)]
    assert released == [Release("late", "token")]


def test_claim_lost_and_step_claimed_again_in_one_sync_abandons_only_the_old_attempt() -> None:
    driver = up("a")
    old = driver.claims("a")
    driver.wait(10)
    assert driver.answer(driver.sync(), "a", lost=("a",)) == ["a"]
    assert driver.plan().abandon == old
    assert driver.finish("a")


def test_earlier_attempt_is_abandoned_when_the_pod_claims_its_step_again() -> None:
    # This happens to a step that is cancelled and replayed within a few seconds.
    driver = up("a")
    old = driver.claims("a")
    driver.wait(5)
    request = driver.sync_once("a")
    assert request.check_held == ()
    assert driver.plan().abandon == old
    assert driver.finish("a")


def test_retry_delay_doubles_with_every_attempt_up_to_the_cap() -> None:
    policy = Driver(retry_base_delay=2.0, retry_max_delay=10.0).machine.retry_policy
    fails = [policy.fail("a", "token", attempt, "Boom") for attempt in (1, 2, 3, 4, 99)]
    assert [fail.retry_delay for fail in fails] == [1.5e6, 3e6, 6e6, 7.5e6, 7.5e6]
    assert fails[0] == Fail("a", "token", "Boom", None, False, 1_500_000)
    assert policy.fail("a", "token", 1, "Boom", "Trace", permanent=True).permanent


def test_recovery_begins_when_the_pod_is_up_and_then_every_interval() -> None:
    driver = Driver(recovery_interval=30.0)
    assert not driver.plan().recover
    driver = Driver(recovery_interval=30.0)
    driver.sync_once()
    assert driver.plan().recover
    assert not driver.plan().recover
    began = []
    for second in range(1, 91):
        driver.wait(1)
        plan = driver.plan()
        if plan.recover:
            began.append(second)
        if plan.request is not None:
            driver.answer(plan.request)
    assert began == [30, 60, 90]


def test_idle_pod_plans_again_when_recovery_is_due() -> None:
    assert up(recovery_interval=3.0).plan().next_at == 103.0


def test_pod_claims_at_once_what_its_outcome_has_made_pending() -> None:
    driver = up("a")
    driver.finish("a")
    driver.answer(driver.sync(), ready=True)
    assert driver.sync().claim == 6


def test_pod_claims_at_once_a_step_that_was_put_off_for_no_time() -> None:
    driver = up("a")
    driver.machine.finished(Snooze("a", driver.tokens["a"]))
    driver.sync_once()
    driver.now = driver.plan().next_at
    assert driver.now == 100 + SHORTEST_CLAIM_WAIT
    assert driver.sync().claim == 6
