"""A draining pod claims nothing, waits for its functions, releases the rest, and leaves."""

from __future__ import annotations

import pytest

from fleet_q.core.pod import Drain, Join, Leave, SendHeartbeat
from fleet_q.core.step import Complete, Outcome, Release
from fleet_q.core.worker.outbox import MOST_OUTCOMES
from tests.core.helpers import Driver, up


def draining(*step_ids: str, grace: float | None = None, **options: object) -> Driver:
    """A pod that has announced that it drains, with these steps still running."""
    driver = up(*step_ids, **options)
    driver.machine.drain(driver.now, grace)
    request = driver.sync_once()
    assert request.pod_command == Drain("pod", request.incarnation)
    return driver


def test_idle_pod_leaves_at_once() -> None:
    driver = up()
    driver.machine.drain(driver.now)
    request = driver.sync()
    assert request.pod_command == Leave("pod", request.incarnation)
    assert not driver.plan().gone
    driver.answer(request)
    plan = driver.plan()
    assert plan.gone
    assert (plan.request, plan.recover) == (None, False)
    assert driver.machine.has_left


def test_draining_pod_announces_it_once_and_then_waits() -> None:
    driver = draining("a")
    assert driver.plan().request is None


def test_draining_pod_claims_nothing() -> None:
    driver = draining("a")
    driver.machine.work_arrived()
    for _ in range(20):
        driver.wait(1)
        request = driver.plan().request
        if request is not None:
            assert request.claim == 0
            driver.answer(request)


def test_draining_pod_sends_heartbeats() -> None:
    driver = draining("a")
    driver.wait(10)
    request = driver.sync()
    assert request.pod_command == SendHeartbeat("pod", request.incarnation)
    assert request.check_held == driver.claims("a")


def test_draining_pod_begins_no_recovery() -> None:
    driver = draining("a", grace=1e6, recovery_interval=30.0, dead_pod_threshold=1e6)
    driver.wait(31)
    plan = driver.plan()
    assert not plan.recover


def test_draining_pod_leaves_with_its_last_outcome_in_one_sync() -> None:
    driver = draining("a", "b")
    driver.finish("a")
    request = driver.sync_once()
    assert (request.pod_command, len(request.outcomes)) == (None, 1)
    driver.finish("b")
    request = driver.sync_once()
    assert request.pod_command == Leave("pod", request.incarnation)
    assert request.outcomes == (Complete("b", driver.tokens["b"], "null"),)
    assert driver.plan().gone


def test_steps_that_run_past_the_grace_are_released() -> None:
    driver = draining("a", "b", grace=4)
    assert driver.plan().next_at == 104.0
    driver.wait(4)
    plan = driver.plan()
    assert plan.abandon == driver.claims("a", "b")
    assert plan.request is not None
    assert plan.request.outcomes == tuple(Release(i, driver.tokens[i]) for i in "ab")
    assert plan.request.pod_command == Leave("pod", plan.request.incarnation)
    assert not driver.finish("a")


def test_grace_is_the_setting_by_default() -> None:
    driver = draining("a", shutdown_grace=7.0)
    assert driver.plan().next_at == 107.0


def test_pod_without_grace_releases_all_steps_and_leaves_at_once() -> None:
    driver = up("a")
    driver.machine.drain(driver.now, grace=0)
    request = driver.sync_once()
    assert request.pod_command == Leave("pod", request.incarnation)
    assert request.outcomes == (Release("a", driver.tokens["a"]),)
    assert driver.plan().gone


@pytest.mark.parametrize(("second", "until"), [(1.0, 101.0), (50.0, 104.0)])
def test_second_drain_can_only_shorten_the_grace(second: float, until: float) -> None:
    driver = draining("a", grace=4)
    driver.machine.drain(driver.now, second)
    assert driver.plan().next_at == until


def test_pod_drained_before_its_first_sync_is_gone() -> None:
    driver = Driver()
    driver.machine.drain(driver.now)
    plan = driver.plan()
    assert (plan.gone, plan.request) == (True, None)
    assert driver.machine.has_left


def test_pod_drained_while_it_joins_joins_and_leaves() -> None:
    driver = Driver()
    request = driver.sync()
    driver.machine.drain(driver.now)
    driver.wait(driver.machine.on_store_unavailable(driver.now))
    again = driver.sync()
    assert (again.pod_command, again.is_retry) == (request.pod_command, True)
    driver.answer(again)
    request = driver.sync_once()
    assert request.pod_command == Leave("pod", request.incarnation)
    assert driver.plan().gone
    assert driver.machine.has_left


def test_pod_whose_joining_is_unanswered_when_the_grace_is_over_has_not_left() -> None:
    driver = Driver()
    driver.sync()
    driver.machine.drain(driver.now, 4)
    driver.machine.on_store_unavailable(driver.now)
    driver.wait(4)
    assert isinstance(driver.sync().pod_command, Join)
    driver.machine.on_store_unavailable(driver.now)
    assert driver.plan().gone
    assert not driver.machine.has_left


def test_pod_whose_joining_a_contended_store_rejected_has_nothing_to_leave() -> None:
    driver = Driver()
    driver.sync()
    driver.machine.drain(driver.now, 0)
    driver.machine.on_store_unavailable(driver.now, contended=True)
    assert driver.plan().gone
    assert driver.machine.has_left


def test_pod_declared_dead_whose_last_outcomes_are_unanswered_has_not_left() -> None:
    driver = up("a")
    driver.wait(10)
    driver.sync()
    driver.machine.on_incarnation_ended()
    driver.machine.drain(driver.now, 4)
    driver.finish("a")
    driver.sync()
    driver.wait(4)
    driver.machine.on_store_unavailable(driver.now)
    assert driver.plan().gone
    assert not driver.machine.has_left


def test_steps_claimed_by_a_sync_that_ends_while_draining_are_released() -> None:
    driver = Driver()
    claim = driver.sync()
    driver.machine.drain(driver.now)
    assert driver.answer(claim, "a", "b") == []
    request = driver.sync()
    assert request.outcomes == tuple(Release(i, claim.claim_token) for i in "ab")
    assert request.pod_command == Leave("pod", request.incarnation)


@pytest.mark.parametrize(
    ("outcomes", "requests"),
    [(MOST_OUTCOMES, 1), (MOST_OUTCOMES + 1, 2), (2 * MOST_OUTCOMES + 1, 3)],
)
def test_pod_records_all_outcomes_in_as_few_syncs_as_possible_and_leaves_with_the_last(
    outcomes: int, requests: int
) -> None:
    steps = [str(n) for n in range(outcomes)]
    driver = up(*steps, max_parallelism=2 * len(steps))
    driver.machine.drain(driver.now, grace=0)
    accepted = [driver.sync_once() for _ in range(requests)]
    assert driver.plan().gone
    assert all(len(request.outcomes) <= MOST_OUTCOMES for request in accepted)
    assert [outcome.step_id for request in accepted for outcome in request.outcomes] == steps


def test_leaving_is_retried_within_the_grace_while_the_store_is_unavailable() -> None:
    driver = draining("a", grace=4)
    driver.finish("a")
    leave = driver.sync().pod_command
    driver.wait(driver.machine.on_store_unavailable(driver.now))
    assert driver.sync().pod_command == leave


def test_pod_is_gone_after_the_grace_although_the_store_is_unavailable() -> None:
    driver = draining("a", grace=4)
    driver.wait(4)
    driver.sync()
    driver.machine.on_store_unavailable(driver.now)
    plan = driver.plan()
    assert (plan.gone, plan.request) == (True, None)
    assert not driver.machine.has_left


def test_functions_are_abandoned_after_the_grace_although_the_store_is_unavailable() -> None:
    driver = draining("a", "b", grace=4, chance=lambda: 1.0)
    driver.finish("a")
    driver.sync()
    while driver.machine.on_store_unavailable(driver.now) < 5:
        pass
    assert driver.plan().next_at == 104.0
    driver.wait(4)
    assert driver.plan().abandon == driver.claims("b")


@pytest.mark.parametrize("first", ["drained", "declared dead"])
def test_draining_pod_that_was_declared_dead_records_its_outcomes_and_is_gone(first: str) -> None:
    # An incarnation that has not joined may only send outcomes; the store refuses its commands.
    driver = up("a", "b", "c")
    driver.wait(10)
    driver.finish("a")
    if first == "drained":
        driver.machine.drain(driver.now, 4)
    driver.sync()
    driver.machine.on_incarnation_ended()
    driver.machine.drain(driver.now, 4)
    assert [outcome.step_id for outcome in outcomes_alone(driver)] == ["a"]
    assert driver.plan().request is None
    driver.finish("b")
    assert [outcome.step_id for outcome in outcomes_alone(driver)] == ["b"]
    driver.wait(4)
    assert outcomes_alone(driver) == (Release("c", driver.tokens["c"]),)
    assert driver.plan().gone


def outcomes_alone(driver: Driver) -> tuple[Outcome, ...]:
    """The outcomes of a sync that carries nothing else."""
    request = driver.sync_once()
    assert (request.pod_command, request.claim) == (None, 0)
    return request.outcomes
