"""An outcome that the store refuses fails its step alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleet_q.core.pod import Leave
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Complete, Fail, Outcome, Release
from tests.core.helpers import Pilot, up

Refuses = Callable[[Outcome], bool]


def tell_all(pilot: Pilot, refuses: Refuses) -> list[SyncRequest]:
    """Do turns until nothing is left to tell; those that the store took."""
    taken: list[SyncRequest] = []
    for _ in range(1_000):
        pilot.wait(0.001)
        request = pilot.plan().request
        if request is None and not pilot.machine._outbox:
            return taken
        if request is None:
            continue
        if any(map(refuses, request.outcomes)):
            assert pilot.machine.refused("too big")
        else:
            pilot.answer(request)
            taken.append(request)
    raise AssertionError("it goes on for ever")


def is_result_of(*step_ids: str) -> Refuses:
    return lambda outcome: isinstance(outcome, Complete) and outcome.step_id in step_ids


@pytest.mark.parametrize("bad", [("s0",), ("s8",), ("s3", "s4"), ("s0", "s5", "s8")])
def test_refused_outcome_is_replaced_by_a_failure_and_the_others_are_told(
    bad: tuple[str, ...],
) -> None:
    ids = [f"s{number}" for number in range(9)]
    pilot = up(*ids, max_parallelism=20)
    for step_id in ids:
        pilot.finish(step_id)

    taken = tell_all(pilot, is_result_of(*bad))

    outcomes = [outcome for request in taken for outcome in request.outcomes]
    assert {o.step_id for o in outcomes if isinstance(o, Complete)} == set(ids) - set(bad)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Fail)]
    assert {failure.step_id for failure in failures} == set(bad)
    for failure in failures:
        assert failure.permanent
        assert failure.error == "the store refused the step's outcome: too big"


def test_claim_of_a_refused_turn_is_asked_for_again_without_the_outcomes() -> None:
    pilot = up("a")
    pilot.finish("a")
    pilot.machine.work_arrived()
    refused = pilot.sync()
    assert refused.outcomes
    assert pilot.machine.refused("too big")
    again = pilot.sync()
    assert (again.claim_token, again.claim) == (refused.claim_token, refused.claim)
    assert (again.is_retry, again.outcomes) == (True, ())
    assert (
        again.pod_command is not None
    )  # a heartbeat shows whether the store takes anything at all


def test_store_that_refuses_the_heartbeat_too_leaves_nothing_to_leave_out() -> None:
    pilot = up("a")
    pilot.finish("a")
    pilot.sync()
    assert pilot.machine.refused("gone")
    assert not pilot.sync().outcomes
    assert not pilot.machine.refused("gone")


def with_both_finished() -> Pilot:
    pilot = up("a", "b")
    pilot.finish("a")
    pilot.finish("b")
    return pilot


def test_failure_whose_reason_is_refused_is_told_without_it() -> None:
    pilot = with_both_finished()
    taken = tell_all(
        pilot,
        lambda outcome: (
            is_result_of("a")(outcome) or (isinstance(outcome, Fail) and "too big" in outcome.error)
        ),
    )
    outcomes = {o.step_id: o for request in taken for o in request.outcomes}
    failure = Fail("a", pilot.tokens["a"], "the store refused the step's outcome", permanent=True)
    assert outcomes == {"a": failure, "b": Complete("b", pilot.tokens["b"], "null")}
    assert pilot.machine.trouble is None


def test_step_whose_failures_are_refused_too_is_released() -> None:
    pilot = with_both_finished()
    taken = tell_all(pilot, lambda o: o.step_id == "a" and not isinstance(o, Release))
    outcomes = {o.step_id: type(o) for request in taken for o in request.outcomes}
    assert outcomes == {"a": Release, "b": Complete}
    assert pilot.machine.trouble is None


def test_step_of_which_every_outcome_is_refused_is_told_as_trouble_until_it_is_recovered() -> None:
    pilot = with_both_finished()
    taken = tell_all(pilot, lambda outcome: outcome.step_id == "a")
    assert [o.step_id for request in taken for o in request.outcomes] == ["b"]
    assert (
        pilot.machine.trouble
        == "the store refuses every outcome of 'a': claimed until this pod leaves"
    )
    pilot.machine.on_incarnation_ended()
    assert pilot.machine.trouble is None


def test_pod_that_drains_leaves_after_it_has_found_the_refused_outcome() -> None:
    pilot = up("a", "b")
    pilot.machine.drain(pilot.now)
    pilot.take_turn()
    pilot.finish("a")
    pilot.finish("b")
    taken = tell_all(pilot, is_result_of("a"))
    outcomes = {o.step_id: type(o) for request in taken for o in request.outcomes}
    assert outcomes == {"a": Fail, "b": Complete}
    assert isinstance(taken[-1].pod_command, Leave)
    assert pilot.plan().gone


def test_turns_grow_again_after_a_refusal() -> None:
    ids = [f"s{number}" for number in range(40)]
    pilot = up(*ids, max_parallelism=100)
    for step_id in ids:
        pilot.finish(step_id)
    sizes = [
        len(request.outcomes) for request in tell_all(pilot, is_result_of("s0")) if request.outcomes
    ]
    assert sizes == [1, 2, 4, 8, 16, 9]


def test_last_turns_release_what_runs_tell_what_has_ended_and_leave() -> None:
    pilot = up("a", "b")
    pilot.finish("a")
    outcomes, leave = pilot.machine.last_requests()
    assert [type(outcome) for outcome in outcomes.outcomes] == [Complete, Release]
    assert outcomes.pod_command is None
    assert leave.pod_command == Leave("pod", leave.incarnation)
    assert pilot.plan().gone
