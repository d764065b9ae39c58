"""What a pod does when the store does not answer, or no longer knows it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.ports import StoreTraits
from fleet_q.core.worker.store_backoff import LONGEST_CONTENDED, STORE_RETRY_BASE, STORE_RETRY_CAP
from tests.core.helpers import Pilot, up


def test_the_same_turn_again_and_never_another() -> None:
    pilot = up("a", "b")
    pilot.finish("a")
    request = pilot.sync()
    for _ in range(3):
        pilot.wait(pilot.machine.on_store_unavailable(pilot.now) + 12)  # a heartbeat falls due too
        pilot.finish("b")
        pilot.machine.work_arrived()
        assert pilot.sync() == replace(request, is_retry=True)


def test_the_store_is_left_alone_until_the_wait_is_over() -> None:
    pilot = Pilot()
    pilot.sync()
    wait = pilot.machine.on_store_unavailable(pilot.now)
    plan = pilot.plan()
    assert (plan.request, plan.next_at) == (None, pilot.now + wait)
    pilot.wait(wait)
    assert pilot.sync().is_retry


def test_the_waits_double_up_to_a_cap_and_begin_anew_after_an_answer() -> None:
    pilot = Pilot(chance=lambda: 1.0)
    for _ in range(2):
        waits = []
        for _ in range(9):
            pilot.sync()
            waits.append(pilot.machine.on_store_unavailable(pilot.now))
            pilot.wait(waits[-1])
        assert waits[:3] == [STORE_RETRY_BASE, 2 * STORE_RETRY_BASE, 4 * STORE_RETRY_BASE]
        assert waits[-2:] == [STORE_RETRY_CAP] * 2
        pilot.take_turn()
        pilot.wait(10)


def slow_turn(pilot: Pilot, seconds: float) -> None:
    """A heartbeat that takes so long; then the next is due."""
    pilot.wait(10)
    request = pilot.sync()
    pilot.wait(seconds)
    pilot.answer(request)
    pilot.wait(10)


def test_who_comes_to_a_crowded_store_again_waits_longer_though_never_much() -> None:
    pilot = up()
    slow_turn(pilot, 2.0)
    waits = []
    for _ in range(9):
        pilot.sync()
        waits.append(pilot.machine.on_store_unavailable(pilot.now, contended=True))
        pilot.wait(LONGEST_CONTENDED)
    assert waits[:2] == [2.0, 4.0]
    assert set(waits[2:]) == {LONGEST_CONTENDED / 2}


def test_a_queue_of_quick_turns_is_soon_come_back_to() -> None:
    pilot = up(traits=StoreTraits(most_waiters=20, shortest_sync=0.5))
    slow_turn(pilot, 0.05)
    pilot.sync()
    assert pilot.machine.on_store_unavailable(pilot.now, contended=True) == pytest.approx(0.5)


def test_a_crowd_keeps_nobody_from_the_next_heartbeat() -> None:
    pilot = up(heartbeat_interval=1.0)
    slow_turn(pilot, 2.0)
    pilot.sync()
    assert pilot.machine.on_store_unavailable(pilot.now, contended=True) == 0.5


def test_a_heartbeat_that_was_turned_away_with_a_claim_comes_alone() -> None:
    pilot = up("a")
    pilot.wait(10)
    request = pilot.sync()
    assert isinstance(request.pod_command, SendHeartbeat)
    assert request.claim
    pilot.wait(pilot.machine.on_store_unavailable(pilot.now, contended=True))
    alone = pilot.sync()
    assert (alone.pod_command, alone.claim, alone.outcomes) == (request.pod_command, 0, ())
    assert alone.check_held == request.check_held
    pilot.answer(alone)
    assert pilot.sync().claim == request.claim


def test_who_leaves_comes_to_a_crowded_store_while_it_has_the_time() -> None:
    pilot = up("a", shutdown_grace=8.0)
    slow_turn(pilot, 2.0)
    pilot.machine.drain(pilot.now)
    waits = []
    for _ in range(3):
        pilot.sync()
        waits.append(pilot.machine.on_store_unavailable(pilot.now, contended=True))
        pilot.wait(waits[-1])
    assert waits == [2.0, 1.5, 1.125]


def test_what_a_crowded_store_turned_away_is_asked_anew_and_not_again() -> None:
    pilot = up("a")
    pilot.wait(5)
    request = pilot.sync()
    pilot.wait(pilot.machine.on_store_unavailable(pilot.now, contended=True))
    pilot.finish("a")
    anew = pilot.sync()
    assert not anew.is_retry
    assert anew.claim_token != request.claim_token
    assert [outcome.step_id for outcome in anew.outcomes] == ["a"]


def test_a_turn_that_may_have_been_done_is_asked_again_even_by_who_is_turned_away() -> None:
    pilot = up("a")
    pilot.wait(5)
    request = pilot.sync()
    pilot.wait(pilot.machine.on_store_unavailable(pilot.now))
    assert pilot.sync() == replace(request, is_retry=True)
    pilot.wait(pilot.machine.on_store_unavailable(pilot.now, contended=True))
    assert pilot.sync() == replace(request, is_retry=True)


def test_a_store_that_refuses_the_incarnation_has_answered() -> None:
    pilot = Pilot(chance=lambda: 1.0)
    for _ in range(9):
        pilot.sync()
        pilot.wait(pilot.machine.on_store_unavailable(pilot.now))
    pilot.sync()
    pilot.machine.on_incarnation_ended()
    pilot.sync()
    assert pilot.machine.on_store_unavailable(pilot.now) == STORE_RETRY_BASE


def test_what_finished_meanwhile_follows_with_the_heartbeat_that_is_late() -> None:
    pilot = up("a", "b")
    pilot.finish("a")
    pilot.sync()
    pilot.finish("b")
    pilot.machine.on_store_unavailable(pilot.now)
    pilot.wait(15)
    assert [outcome.step_id for outcome in pilot.take_turn().outcomes] == ["a"]
    request = pilot.take_turn()
    assert [outcome.step_id for outcome in request.outcomes] == ["b"]
    assert request.pod_command is not None


def test_functions_still_run_out_of_time() -> None:
    pilot = up("a", timeout=1.0)
    pilot.wait(0.9)
    pilot.machine.work_arrived()
    pilot.sync()
    for _ in range(8):
        pilot.machine.on_store_unavailable(pilot.now)
    assert pilot.plan().next_at == 101.0
    pilot.wait(0.1)
    assert pilot.plan().abandon == pilot.claims("a")


def test_no_recovery_while_the_store_is_away() -> None:
    pilot = Pilot(recovery_interval=0.01)
    pilot.take_turn()
    pilot.machine.work_arrived()
    pilot.sync()
    wait = pilot.machine.on_store_unavailable(pilot.now)
    pilot.wait(wait / 2)
    assert not pilot.plan().recover
    pilot.wait(wait / 2)
    assert pilot.plan().recover


def test_a_claim_whose_answer_was_lost_is_asked_for_under_its_token() -> None:
    pilot = Pilot()
    token = pilot.sync().claim_token
    pilot.wait(pilot.machine.on_store_unavailable(pilot.now))
    again = pilot.sync()
    assert again.claim_token == token
    assert pilot.answer(again, "a") == ["a"]


def test_a_pod_declared_dead_joins_as_a_new_incarnation() -> None:
    pilot = up("a")
    old = pilot.machine.incarnation
    pilot.wait(10)
    pilot.sync()
    pilot.machine.on_incarnation_ended()
    request = pilot.sync()
    assert request.incarnation != old
    assert request.pod_command == Join("pod", request.incarnation)
    assert not request.is_retry


def test_a_pod_that_joins_anew_asks_which_claims_still_stand() -> None:
    pilot = up("a", "b")
    pilot.wait(10)
    pilot.sync()
    pilot.machine.on_incarnation_ended()
    request = pilot.sync()
    assert request.check_held == pilot.claims("a", "b")
    pilot.answer(request, lost=("b",))
    assert pilot.plan().abandon == pilot.claims("b")
    assert pilot.finish("a")


def test_an_outcome_that_could_not_be_said_is_said_after_joining_anew() -> None:
    pilot = up("a")
    pilot.finish("a")
    outcomes = pilot.sync().outcomes
    pilot.machine.on_incarnation_ended()
    assert pilot.sync().outcomes == outcomes


def test_the_slots_of_what_still_runs_are_not_given_away_by_joining_anew() -> None:
    pilot = up("a", "b")
    pilot.wait(10)
    pilot.sync()
    pilot.machine.on_incarnation_ended()
    assert pilot.sync().claim == 4
