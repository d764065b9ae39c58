"""A pod by hand claims what its callers want, when they want it, and nothing else."""

from __future__ import annotations

from typing import Any

from fleet_q.core.pod import Join, Leave
from fleet_q.core.ports import StoreTraits
from fleet_q.core.step import Complete, Fail, Outcome, Release
from tests.core.helpers import Driver

POLLED = StoreTraits(poll_interval=0.01)
BILLED = StoreTraits(writes_are_billed=True)


def by_hand(traits: StoreTraits | None = None, most: int = 100, **settings: Any) -> Driver:
    """A pod by hand that has joined and that nobody wants steps of."""
    driver = Driver(traits=traits, most_by_hand=most, **settings)
    request = driver.sync_once()
    assert (type(request.pod_command), request.claim) == (Join, 0)
    return driver


def want(driver: Driver, steps: int) -> None:
    driver.machine.want(steps)
    driver.machine.look()


def hold(driver: Driver, *step_ids: str) -> None:
    """Claim these steps for a caller."""
    want(driver, len(step_ids))
    driver.sync_once(*step_ids)
    driver.machine.want(0)


def outcomes_of(driver: Driver) -> tuple[Outcome, ...]:
    return driver.sync_once().outcomes


def test_pod_by_hand_claims_nothing_that_nobody_wants() -> None:
    driver = by_hand()
    until = driver.now + 300
    while (plan := driver.plan()).next_at < until:
        if plan.request is not None:
            assert plan.request.claim == 0
            driver.answer(plan.request)
        else:
            driver.now = plan.next_at


def test_pod_by_hand_does_not_poll_while_nobody_wants_steps() -> None:
    driver = by_hand(POLLED)
    driver.wait(1)
    assert not driver.plan().poll


def test_pod_by_hand_claims_as_many_steps_as_are_wanted() -> None:
    driver = by_hand()
    want(driver, 5)
    request = driver.sync()
    assert (request.claim, request.prefetch) == (5, 0)


def test_pod_by_hand_prefetches_nothing_however_fast_its_callers_are() -> None:
    driver = by_hand()
    for number in range(200):
        hold(driver, f"step {number}")
        driver.finish(f"step {number}")
        driver.wait(0.01)
        request = driver.sync_once()
        assert (request.claim, request.prefetch) == (0, 0)


def test_callers_hold_no_more_steps_than_they_may() -> None:
    driver = by_hand(most=3)
    hold(driver, "a", "b")
    want(driver, 5)
    assert driver.sync().claim == 1


def test_pod_by_hand_claims_again_when_the_store_had_too_few_steps() -> None:
    driver = by_hand()
    want(driver, 5)
    driver.sync_once("a")
    driver.machine.want(4)
    assert driver.plan().request is None
    assert driver.machine.has_looked(driver.now)
    driver.wait(5)
    assert driver.sync().claim == 4


def test_caller_that_comes_later_makes_the_pod_look_again_at_once() -> None:
    driver = by_hand()
    want(driver, 1)
    driver.sync_once()
    assert driver.plan().request is None
    want(driver, 1)
    assert not driver.machine.has_looked(driver.now)
    assert driver.sync().claim == 1


def test_waiting_caller_makes_the_pod_poll_where_that_is_cheap() -> None:
    driver = by_hand(POLLED)
    want(driver, 1)
    driver.sync_once()
    driver.machine.on_change_counter(1, driver.now)
    assert driver.plan().poll
    driver.machine.on_change_counter(2, driver.now)
    assert driver.sync().claim == 1


def test_pod_has_not_looked_while_its_claim_is_under_way() -> None:
    driver = by_hand()
    want(driver, 1)
    request = driver.sync()
    assert not driver.machine.has_looked(driver.now)
    driver.answer(request)
    assert driver.machine.has_looked(driver.now)


def test_pod_has_not_looked_while_the_store_is_away() -> None:
    driver = by_hand()
    want(driver, 1)
    driver.sync()
    driver.machine.on_store_unavailable(driver.now)
    assert not driver.machine.has_looked(driver.now)


def test_full_pod_has_looked() -> None:
    driver = by_hand(most=1)
    hold(driver, "a")
    want(driver, 1)
    assert driver.plan().request is None
    assert driver.machine.has_looked(driver.now)


def test_caller_costs_one_poll_where_writes_are_billed_until_the_counter_changes() -> None:
    driver = by_hand(BILLED)
    want(driver, 1)
    assert driver.plan().poll
    driver.machine.on_change_counter(7, driver.now)
    driver.sync_once()  # the counter was not known before
    for _ in range(3):
        driver.wait(1)
        want(driver, 1)
        assert not driver.machine.has_looked(driver.now)
        plan = driver.plan()
        assert (plan.poll, plan.request) == (True, None)
        driver.machine.on_change_counter(7, driver.now)
        assert driver.plan().request is None
        assert driver.machine.has_looked(driver.now)
    want(driver, 1)
    assert driver.plan().poll
    driver.machine.on_change_counter(8, driver.now)
    assert not driver.machine.has_looked(driver.now)
    assert driver.sync().claim == 1


def asleep() -> Driver:
    """A pod by hand that has fallen asleep while a caller waits."""
    driver = by_hand(BILLED, sleep_after=5)
    want(driver, 2)
    driver.plan()
    driver.machine.on_change_counter(7, driver.now)
    driver.sync_once()
    while driver.machine.phase != "asleep":
        plan = driver.plan()
        if plan.poll:
            driver.machine.on_change_counter(7, driver.now)
        if plan.request is None:
            driver.now = max(driver.now, plan.next_at)
        else:
            driver.answer(plan.request)
    return driver


def test_sleeping_pod_by_hand_wakes_for_its_caller_when_the_counter_changes() -> None:
    driver = asleep()
    driver.machine.on_change_counter(8, driver.now)
    request = driver.sync()
    assert (request.claim, request.only_if_claimable) == (2, True)


def test_sleeping_pod_by_hand_neither_polls_nor_wakes_while_nobody_wants_steps() -> None:
    driver = asleep()
    driver.machine.want(0)
    driver.machine.on_change_counter(8, driver.now)
    plan = driver.plan()
    assert (plan.poll, plan.request) == (False, None)
    want(driver, 1)
    assert driver.sync().claim == 1


def test_attempt_fails_when_its_lease_ends_and_the_late_outcome_is_ignored() -> None:
    driver = by_hand()
    hold(driver, "a")
    token = driver.tokens["a"]
    silent = Fail("a", token, "the client was silent", retry_delay=5)
    driver.machine.began("a", token, 30, driver.now, silent)
    driver.wait(29)
    driver.sync_once()
    assert not driver.plan().abandon
    driver.wait(1)

    plan = driver.plan()

    assert plan.abandon == (("a", token),)
    assert plan.request is not None
    assert plan.request.outcomes == (silent,)
    assert not driver.machine.finished(Complete("a", token, "1"))


def test_lease_that_is_renewed_ends_later() -> None:
    driver = by_hand()
    hold(driver, "a", "b")
    for step_id in "ab":
        driver.machine.began(step_id, driver.tokens[step_id], 30, driver.now)
    driver.wait(20)
    driver.machine.began("a", driver.tokens["a"], 30, driver.now)
    driver.wait(10)
    assert driver.plan().abandon == (("b", driver.tokens["b"]),)
    driver.wait(20)
    assert driver.plan().abandon == (("a", driver.tokens["a"]),)


def test_pod_by_hand_that_drains_claims_no_more_and_leaves() -> None:
    driver = by_hand()
    hold(driver, "a")
    want(driver, 3)
    driver.machine.drain(driver.now, 10)
    request = driver.sync_once()
    assert request.claim == 0
    driver.wait(10)
    request = driver.sync_once()
    assert request.outcomes == (Release("a", driver.tokens["a"]),)
    assert isinstance(request.pod_command, Leave)


def test_released_step_is_claimed_again_when_its_delay_is_over() -> None:
    driver = by_hand()
    hold(driver, "a")
    driver.machine.finished(Release("a", driver.tokens["a"], retry_delay=2_000_000))
    want(driver, 1)
    driver.sync_once()
    assert driver.plan().request is None
    driver.wait(2)
    assert driver.sync().claim == 1
