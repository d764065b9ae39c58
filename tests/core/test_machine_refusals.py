"""An outcome that the store refuses fails its own step only."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fleet_q.core.pod import Leave
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Complete, Fail, Outcome, Release
from tests.core.helpers import Driver, up

Refuses = Callable[[Outcome], bool]


def sync_all(driver: Driver, refuses: Refuses) -> list[SyncRequest]:
    """Sync until no outcome is left. Returns the requests that the store accepted."""
    accepted: list[SyncRequest] = []
    for _ in range(1_000):
        driver.wait(0.001)
        request = driver.plan().request
        if request is None and not driver.machine._outbox:
            return accepted
        if request is None:
            continue
        if any(map(refuses, request.outcomes)):
            assert driver.machine.refused("too big")
        else:
            driver.answer(request)
            accepted.append(request)
    raise AssertionError("outcomes are left after 1,000 syncs")


def is_result_of(*step_ids: str) -> Refuses:
    return lambda outcome: isinstance(outcome, Complete) and outcome.step_id in step_ids


@pytest.mark.parametrize("bad", [("s0",), ("s8",), ("s3", "s4"), ("s0", "s5", "s8")])
def test_refused_outcome_is_replaced_by_a_failure_and_the_others_are_recorded(
    bad: tuple[str, ...],
) -> None:
    ids = [f"s{number}" for number in range(9)]
    driver = up(*ids, max_parallelism=20)
    for step_id in ids:
        driver.finish(step_id)

    accepted = sync_all(driver, is_result_of(*bad))

    outcomes = [outcome for request in accepted for outcome in request.outcomes]
    assert {o.step_id for o in outcomes if isinstance(o, Complete)} == set(ids) - set(bad)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Fail)]
    assert {failure.step_id for failure in failures} == set(bad)
    for failure in failures:
        assert failure.permanent
        assert failure.error == "the store refused the step's outcome: too big"


def test_refused_sync_repeats_its_claim_without_the_outcomes() -> None:
    driver = up("a")
    driver.finish("a")
    driver.machine.work_arrived()
    refused = driver.sync()
    assert refused.outcomes
    assert driver.machine.refused("too big")
    again = driver.sync()
    assert (again.claim_token, again.claim) == (refused.claim_token, refused.claim)
    assert (again.is_retry, again.outcomes) == (True, ())
    assert (
        again.pod_command is not None
    )  # a heartbeat shows whether the store takes anything at all


def test_refusal_of_a_sync_without_outcomes_is_not_handled() -> None:
    driver = up("a")
    driver.finish("a")
    driver.sync()
    assert driver.machine.refused("gone")
    assert not driver.sync().outcomes
    assert not driver.machine.refused("gone")


def with_both_finished() -> Driver:
    driver = up("a", "b")
    driver.finish("a")
    driver.finish("b")
    return driver


def test_failure_whose_reason_is_refused_is_recorded_without_it() -> None:
    driver = with_both_finished()
    accepted = sync_all(
        driver,
        lambda outcome: (
            is_result_of("a")(outcome) or (isinstance(outcome, Fail) and "too big" in outcome.error)
        ),
    )
    outcomes = {o.step_id: o for request in accepted for o in request.outcomes}
    failure = Fail("a", driver.tokens["a"], "the store refused the step's outcome", permanent=True)
    assert outcomes == {"a": failure, "b": Complete("b", driver.tokens["b"], "null")}
    assert driver.machine.trouble is None


def test_step_whose_failures_are_refused_too_is_released() -> None:
    driver = with_both_finished()
    accepted = sync_all(driver, lambda o: o.step_id == "a" and not isinstance(o, Release))
    outcomes = {o.step_id: type(o) for request in accepted for o in request.outcomes}
    assert outcomes == {"a": Release, "b": Complete}
    assert driver.machine.trouble is None


def test_step_whose_every_outcome_is_refused_is_reported_as_trouble_until_it_is_recovered() -> None:
    driver = with_both_finished()
    accepted = sync_all(driver, lambda outcome: outcome.step_id == "a")
    assert [o.step_id for request in accepted for o in request.outcomes] == ["b"]
    assert (
        driver.machine.trouble
        == "the store refuses every outcome of 'a': claimed until this pod leaves"
    )
    driver.machine.on_incarnation_ended()
    assert driver.machine.trouble is None


def test_draining_pod_leaves_after_it_has_found_the_refused_outcome() -> None:
    driver = up("a", "b")
    driver.machine.drain(driver.now)
    driver.sync_once()
    driver.finish("a")
    driver.finish("b")
    accepted = sync_all(driver, is_result_of("a"))
    outcomes = {o.step_id: type(o) for request in accepted for o in request.outcomes}
    assert outcomes == {"a": Fail, "b": Complete}
    assert isinstance(accepted[-1].pod_command, Leave)
    assert driver.plan().gone


def test_number_of_outcomes_in_a_sync_doubles_again_after_a_refusal() -> None:
    ids = [f"s{number}" for number in range(40)]
    driver = up(*ids, max_parallelism=100)
    for step_id in ids:
        driver.finish(step_id)
    sizes = [
        len(request.outcomes)
        for request in sync_all(driver, is_result_of("s0"))
        if request.outcomes
    ]
    assert sizes == [1, 2, 4, 8, 16, 9]


def test_last_requests_record_outcomes_release_running_steps_and_leave() -> None:
    driver = up("a", "b")
    driver.finish("a")
    outcomes, leave = driver.machine.last_requests()
    assert [type(outcome) for outcome in outcomes.outcomes] == [Complete, Release]
    assert outcomes.pod_command is None
    assert leave.pod_command == Leave("pod", leave.incarnation)
    assert driver.plan().gone
