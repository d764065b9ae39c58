"""How a pod stops: no new steps, finish, release what does not finish in time, leave."""

from __future__ import annotations

import pytest

from fleet_q.core.pod import Drain, Join, Leave, SendHeartbeat
from fleet_q.core.step import Complete, Outcome, Release
from fleet_q.core.worker.outbox import MOST_OUTCOMES
from tests.core.helpers import Pilot, up


def draining(*step_ids: str, grace: float | None = None, **options: object) -> Pilot:
    """A pod that has said that it drains, with these steps still running."""
    pilot = up(*step_ids, **options)
    pilot.machine.drain(pilot.now, grace)
    request = pilot.take_turn()
    assert request.pod_command == Drain("pod", request.incarnation)
    return pilot


def test_an_idle_pod_leaves_at_once() -> None:
    pilot = up()
    pilot.machine.drain(pilot.now)
    request = pilot.sync()
    assert request.pod_command == Leave("pod", request.incarnation)
    assert not pilot.plan().gone
    pilot.answer(request)
    plan = pilot.plan()
    assert plan.gone
    assert (plan.request, plan.recover) == (None, False)
    assert pilot.machine.has_left


def test_a_pod_that_drains_says_so_and_then_waits() -> None:
    pilot = draining("a")
    assert pilot.plan().request is None


def test_a_pod_that_drains_claims_nothing_more() -> None:
    pilot = draining("a")
    pilot.machine.work_arrived()
    for _ in range(20):
        pilot.wait(1)
        request = pilot.plan().request
        if request is not None:
            assert request.claim == 0
            pilot.answer(request)


def test_a_pod_that_drains_still_says_that_it_lives() -> None:
    pilot = draining("a")
    pilot.wait(10)
    request = pilot.sync()
    assert request.pod_command == SendHeartbeat("pod", request.incarnation)
    assert request.check_held == pilot.claims("a")


def test_a_pod_that_drains_begins_no_recovery() -> None:
    pilot = draining("a", grace=1e6, recovery_interval=30.0, dead_pod_threshold=1e6)
    pilot.wait(31)
    plan = pilot.plan()
    assert not plan.recover


def test_a_pod_leaves_when_all_is_finished_and_says_so_in_the_same_turn() -> None:
    pilot = draining("a", "b")
    pilot.finish("a")
    request = pilot.take_turn()
    assert (request.pod_command, len(request.outcomes)) == (None, 1)
    pilot.finish("b")
    request = pilot.take_turn()
    assert request.pod_command == Leave("pod", request.incarnation)
    assert request.outcomes == (Complete("b", pilot.tokens["b"], "null"),)
    assert pilot.plan().gone


def test_what_has_not_finished_within_the_grace_is_released() -> None:
    pilot = draining("a", "b", grace=4)
    assert pilot.plan().next_at == 104.0
    pilot.wait(4)
    plan = pilot.plan()
    assert plan.abandon == pilot.claims("a", "b")
    assert plan.request is not None
    assert plan.request.outcomes == tuple(Release(i, pilot.tokens[i]) for i in "ab")
    assert plan.request.pod_command == Leave("pod", plan.request.incarnation)
    assert not pilot.finish("a")


def test_the_grace_is_that_of_the_settings_unless_another_is_asked_for() -> None:
    pilot = draining("a", shutdown_grace=7.0)
    assert pilot.plan().next_at == 107.0


def test_without_grace_all_is_released_and_the_pod_leaves_at_once() -> None:
    pilot = up("a")
    pilot.machine.drain(pilot.now, grace=0)
    request = pilot.take_turn()
    assert request.pod_command == Leave("pod", request.incarnation)
    assert request.outcomes == (Release("a", pilot.tokens["a"]),)
    assert pilot.plan().gone


@pytest.mark.parametrize(("second", "until"), [(1.0, 101.0), (50.0, 104.0)])
def test_asking_again_can_only_shorten_the_grace(second: float, until: float) -> None:
    pilot = draining("a", grace=4)
    pilot.machine.drain(pilot.now, second)
    assert pilot.plan().next_at == until


def test_drained_before_it_asked_to_join_a_pod_is_gone() -> None:
    pilot = Pilot()
    pilot.machine.drain(pilot.now)
    plan = pilot.plan()
    assert (plan.gone, plan.request) == (True, None)
    assert pilot.machine.has_left


def test_drained_before_its_joining_was_answered_a_pod_joins_and_leaves() -> None:
    pilot = Pilot()
    request = pilot.sync()
    pilot.machine.drain(pilot.now)
    pilot.wait(pilot.machine.on_store_unavailable(pilot.now))
    again = pilot.sync()
    assert (again.pod_command, again.is_retry) == (request.pod_command, True)
    pilot.answer(again)
    request = pilot.take_turn()
    assert request.pod_command == Leave("pod", request.incarnation)
    assert pilot.plan().gone
    assert pilot.machine.has_left


def test_pod_whose_joining_is_unanswered_when_the_grace_is_over_has_not_left() -> None:
    pilot = Pilot()
    pilot.sync()
    pilot.machine.drain(pilot.now, 4)
    pilot.machine.on_store_unavailable(pilot.now)
    pilot.wait(4)
    assert isinstance(pilot.sync().pod_command, Join)
    pilot.machine.on_store_unavailable(pilot.now)
    assert pilot.plan().gone
    assert not pilot.machine.has_left


def test_pod_whose_joining_a_contended_store_rejected_has_nothing_to_leave() -> None:
    pilot = Pilot()
    pilot.sync()
    pilot.machine.drain(pilot.now, 0)
    pilot.machine.on_store_unavailable(pilot.now, contended=True)
    assert pilot.plan().gone
    assert pilot.machine.has_left


def test_pod_declared_dead_whose_last_outcomes_are_unanswered_has_not_left() -> None:
    pilot = up("a")
    pilot.wait(10)
    pilot.sync()
    pilot.machine.on_incarnation_ended()
    pilot.machine.drain(pilot.now, 4)
    pilot.finish("a")
    pilot.sync()
    pilot.wait(4)
    pilot.machine.on_store_unavailable(pilot.now)
    assert pilot.plan().gone
    assert not pilot.machine.has_left


def test_steps_that_arrive_when_the_pod_drains_already_are_released() -> None:
    pilot = Pilot()
    claim = pilot.sync()
    pilot.machine.drain(pilot.now)
    assert pilot.answer(claim, "a", "b") == []
    request = pilot.sync()
    assert request.outcomes == tuple(Release(i, claim.claim_token) for i in "ab")
    assert request.pod_command == Leave("pod", request.incarnation)


@pytest.mark.parametrize(
    ("outcomes", "requests"),
    [(MOST_OUTCOMES, 1), (MOST_OUTCOMES + 1, 2), (2 * MOST_OUTCOMES + 1, 3)],
)
def test_as_many_turns_as_it_takes_to_say_all_and_leave(outcomes: int, requests: int) -> None:
    steps = [str(n) for n in range(outcomes)]
    pilot = up(*steps, max_parallelism=2 * len(steps))
    pilot.machine.drain(pilot.now, grace=0)
    taken = [pilot.take_turn() for _ in range(requests)]
    assert pilot.plan().gone
    assert all(len(request.outcomes) <= MOST_OUTCOMES for request in taken)
    assert [outcome.step_id for request in taken for outcome in request.outcomes] == steps


def test_a_store_that_is_away_within_the_grace_is_asked_again() -> None:
    pilot = draining("a", grace=4)
    pilot.finish("a")
    leave = pilot.sync().pod_command
    pilot.wait(pilot.machine.on_store_unavailable(pilot.now))
    assert pilot.sync().pod_command == leave


def test_a_store_that_is_away_past_the_grace_lets_the_pod_go() -> None:
    pilot = draining("a", grace=4)
    pilot.wait(4)
    pilot.sync()
    pilot.machine.on_store_unavailable(pilot.now)
    plan = pilot.plan()
    assert (plan.gone, plan.request) == (True, None)
    assert not pilot.machine.has_left


def test_functions_end_with_the_grace_although_the_store_is_away() -> None:
    pilot = draining("a", "b", grace=4, chance=lambda: 1.0)
    pilot.finish("a")
    pilot.sync()
    while pilot.machine.on_store_unavailable(pilot.now) < 5:
        pass
    assert pilot.plan().next_at == 104.0
    pilot.wait(4)
    assert pilot.plan().abandon == pilot.claims("b")


@pytest.mark.parametrize("first", ["drained", "declared dead"])
def test_drained_and_declared_dead_a_pod_says_what_it_has_to_say_and_is_gone(first: str) -> None:
    # What it would say as an incarnation that never joined would be refused, outcomes and all.
    pilot = up("a", "b", "c")
    pilot.wait(10)
    pilot.finish("a")
    if first == "drained":
        pilot.machine.drain(pilot.now, 4)
    pilot.sync()
    pilot.machine.on_incarnation_ended()
    pilot.machine.drain(pilot.now, 4)
    assert [outcome.step_id for outcome in said_alone(pilot)] == ["a"]
    assert pilot.plan().request is None
    pilot.finish("b")
    assert [outcome.step_id for outcome in said_alone(pilot)] == ["b"]
    pilot.wait(4)
    assert said_alone(pilot) == (Release("c", pilot.tokens["c"]),)
    assert pilot.plan().gone


def said_alone(pilot: Pilot) -> tuple[Outcome, ...]:
    """The outcomes of a turn that says nothing else."""
    request = pilot.take_turn()
    assert (request.pod_command, request.claim) == (None, 0)
    return request.outcomes
