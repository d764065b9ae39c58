"""What a pod does while all is well: join, claim, run, acknowledge, say that it lives."""

from __future__ import annotations

import pytest

from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.step import Complete, Fail
from fleet_q.core.worker.claim_schedule import SHORTEST_CLAIM_WAIT
from fleet_q.core.worker.outbox import MOST_OUTCOMES
from tests.core.helpers import AT, Pilot, up


def test_a_pod_joins_and_claims_in_the_same_turn() -> None:
    request = Pilot().sync()
    assert request.pod_command == Join("pod", request.incarnation)
    assert request.claim == 6
    assert request.claim_token not in ("", request.incarnation)
    assert not request.is_retry


def test_what_was_claimed_is_to_run() -> None:
    pilot = Pilot()
    assert pilot.answer(pilot.sync(), "a", "b") == ["a", "b"]
    assert pilot.machine.running == 2


def test_a_pod_claims_for_its_free_slots_only() -> None:
    pilot = up("a", "b", max_parallelism=10, capacity_threshold=0.5)
    pilot.wait(5)
    assert pilot.sync().claim == 3


def test_a_full_pod_neither_claims_nor_looks_out_for_work() -> None:
    pilot = up(*"abcdef")
    pilot.wait(9)
    plan = pilot.plan()
    assert plan.request is None
    assert plan.next_at == 110.0  # its heartbeat


def test_no_claim_before_the_interval_if_the_last_was_not_filled() -> None:
    pilot = up(*"abcde")
    assert pilot.plan().next_at == 105.0
    pilot.wait(4.9)
    assert pilot.plan().request is None
    pilot.wait(0.1)
    assert pilot.sync().claim == 1


def test_a_pod_claims_at_once_while_a_backlog_is_known() -> None:
    pilot = up(*"abcdef")
    pilot.finish("a")
    pilot.finish("b")
    request = pilot.take_turn("g")
    assert (request.claim, len(request.outcomes)) == (2, 2)
    pilot.finish("c")
    assert pilot.sync().claim == 0  # the claim before was not filled


def test_every_claim_has_a_token_of_its_own_and_no_claim_has_none() -> None:
    pilot = up(*"abcdef")
    tokens = {pilot.tokens["a"]}
    for step_id in "abc":
        pilot.finish(step_id)
        request = pilot.take_turn(f"{step_id}2")
        assert request.claim_token not in tokens
        tokens.add(request.claim_token)
    pilot = up("a")
    pilot.finish("a")
    assert pilot.sync().claim_token == ""


def test_work_that_arrived_is_claimed_without_waiting() -> None:
    pilot = up()
    pilot.machine.work_arrived()
    assert pilot.take_turn().claim == 6
    assert pilot.plan().request is None


def test_a_step_that_falls_due_is_claimed_when_it_does() -> None:
    pilot = Pilot()
    pilot.take_turn(next_due=AT + 2_000_000)
    assert pilot.plan().next_at == 102.0
    pilot.wait(2)
    assert pilot.sync().claim == 6


def test_a_step_that_falls_due_after_the_next_claim_does_not_put_it_off() -> None:
    pilot = Pilot()
    pilot.take_turn(next_due=AT + 60_000_000)
    assert pilot.plan().next_at == 105.0


def test_a_retry_that_an_acknowledgement_made_known_is_waited_for() -> None:
    pilot = up("a")
    pilot.finish("a")
    pilot.take_turn(next_due=AT + 1_000_000)
    assert pilot.plan().next_at == 101.0


def test_a_hairs_breadth_of_clock_is_not_polled() -> None:
    pilot = Pilot()
    pilot.take_turn(next_due=AT)
    assert pilot.plan().next_at == 100.0 + SHORTEST_CLAIM_WAIT


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_heartbeat_at_every_interval_whatever_the_load(busy: bool) -> None:
    pilot = up(*"abcdef")
    beats = []
    for second in range(1, 61):
        pilot.wait(1)
        if busy:
            for step_id in list(pilot.tokens)[-6:]:
                pilot.finish(step_id)
        while (request := pilot.plan().request) is not None:
            if request.pod_command is not None:
                assert request.pod_command == SendHeartbeat("pod", request.incarnation)
                beats.append(second)
            pilot.answer(request, *(f"{second}-{n}" for n in range(request.claim)))
    assert beats == [10, 20, 30, 40, 50, 60]


def test_a_heartbeat_asks_after_what_runs() -> None:
    pilot = up("a", "b")
    pilot.finish("b")
    assert pilot.take_turn().check_held == ()  # no heartbeat is due
    pilot.wait(10)
    assert pilot.sync().check_held == pilot.claims("a")


def test_what_finished_meanwhile_is_acknowledged_together() -> None:
    pilot = up("a", "b", "c")
    for step_id in "ab":
        assert pilot.finish(step_id)
    request = pilot.take_turn()
    assert [outcome.step_id for outcome in request.outcomes] == ["a", "b"]
    assert pilot.machine.running == 1
    assert pilot.plan().request is None


def test_one_turn_acknowledges_so_many_and_the_next_the_rest() -> None:
    steps = [str(n) for n in range(MOST_OUTCOMES + 2)]
    pilot = up(*steps, max_parallelism=2 * len(steps))
    for step_id in steps:
        pilot.finish(step_id)
    first, second = pilot.take_turn(), pilot.take_turn()
    assert len(first.outcomes) == MOST_OUTCOMES
    assert [outcome.step_id for outcome in second.outcomes] == steps[MOST_OUTCOMES:]
    assert pilot.plan().request is None


def test_what_finishes_while_the_store_works_is_not_forgotten() -> None:
    pilot = up("a", "b")
    pilot.finish("a")
    request = pilot.sync()
    pilot.finish("b")
    pilot.answer(request)
    assert [outcome.step_id for outcome in pilot.sync().outcomes] == ["b"]


def test_a_function_that_runs_too_long_is_a_failed_attempt_and_is_abandoned() -> None:
    pilot = up("a", timeout=3.0)
    assert pilot.plan().next_at == 103.0
    pilot.wait(3)
    plan = pilot.plan()
    assert plan.abandon == pilot.claims("a")
    assert plan.request is not None
    (outcome,) = plan.request.outcomes
    error = "TimeoutError: ran longer than 3 s"
    assert outcome == Fail("a", pilot.tokens["a"], error, retry_delay=500_000)
    assert pilot.machine.running == 0


def test_only_those_whose_time_is_up_are_abandoned() -> None:
    pilot = up("a", timeout=6.0)
    pilot.wait(5)
    pilot.take_turn("b")
    pilot.wait(1)
    assert pilot.plan().abandon == pilot.claims("a")
    pilot.wait(4)
    assert pilot.plan().abandon == ()
    pilot.wait(1)
    assert pilot.plan().abandon == pilot.claims("b")


def test_without_a_timeout_a_function_may_run_for_ever() -> None:
    pilot = up("a")
    pilot.wait(1e9)
    assert pilot.plan().abandon == ()
    assert pilot.machine.running == 1


def test_nobody_waits_for_a_step_that_was_abandoned() -> None:
    pilot = up("a", timeout=3.0)
    pilot.wait(3)
    pilot.take_turn()
    assert not pilot.finish("a")
    assert pilot.plan().request is None


def test_nobody_waits_for_an_earlier_attempt_of_a_step_that_runs_again() -> None:
    pilot = up("a", timeout=5.0)
    late = Complete("a", pilot.tokens["a"], "null")
    pilot.wait(5)
    pilot.take_turn("a")
    assert not pilot.machine.finished(late)
    assert pilot.finish("a")


def test_an_outcome_counts_once() -> None:
    pilot = up("a")
    assert pilot.finish("a")
    assert not pilot.finish("a")


def test_claims_that_no_longer_stand_are_abandoned() -> None:
    pilot = up("a", "b")
    pilot.wait(10)
    pilot.take_turn(lost=("a",))
    assert pilot.plan().abandon == pilot.claims("a")
    assert pilot.plan().abandon == ()
    assert pilot.machine.running == 1
    assert not pilot.finish("a")


def test_a_claim_taken_away_and_given_anew_in_one_answer_abandons_only_the_old_attempt() -> None:
    pilot = up("a")
    old = pilot.claims("a")
    pilot.wait(10)
    assert pilot.answer(pilot.sync(), "a", lost=("a",)) == ["a"]
    assert pilot.plan().abandon == old
    assert pilot.finish("a")


def test_an_attempt_is_abandoned_when_its_step_is_given_anew_before_a_heartbeat_asks() -> None:
    # So it goes with a step that was cancelled and replayed within a few seconds.
    pilot = up("a")
    old = pilot.claims("a")
    pilot.wait(5)
    request = pilot.take_turn("a")
    assert request.check_held == ()
    assert pilot.plan().abandon == old
    assert pilot.finish("a")


def test_a_failed_attempt_waits_longer_every_time_and_never_longer_than_the_cap() -> None:
    policy = Pilot(retry_base_delay=2.0, retry_max_delay=10.0).machine.retry_policy
    fails = [policy.fail("a", "token", attempt, "Boom") for attempt in (1, 2, 3, 4, 99)]
    assert [fail.retry_delay for fail in fails] == [1e6, 2e6, 4e6, 5e6, 5e6]
    assert fails[0] == Fail("a", "token", "Boom", None, False, 1_000_000)
    assert policy.fail("a", "token", 1, "Boom", "Trace", permanent=True).permanent


def test_recovery_begins_when_the_pod_is_up_and_at_every_interval() -> None:
    pilot = Pilot(recovery_interval=30.0)
    assert not pilot.plan().recover
    pilot = Pilot(recovery_interval=30.0)
    pilot.take_turn()
    assert pilot.plan().recover
    assert not pilot.plan().recover
    began = []
    for second in range(1, 91):
        pilot.wait(1)
        plan = pilot.plan()
        if plan.recover:
            began.append(second)
        if plan.request is not None:
            pilot.answer(plan.request)
    assert began == [30, 60, 90]


def test_a_pod_with_nothing_else_to_do_looks_again_when_recovery_is_due() -> None:
    assert up(recovery_interval=3.0).plan().next_at == 103.0
