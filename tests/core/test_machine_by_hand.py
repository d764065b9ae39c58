"""A pod by hand claims what its callers want, when they want it, and nothing else."""

from __future__ import annotations

from typing import Any

from fleet_q.core.pod import Join, Leave
from fleet_q.core.ports import StoreTraits
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.step import Complete, Fail, Outcome, Release
from fleet_q.core.worker.claims_by_hand import MOST_TIMINGS
from tests.core.helpers import AT, Driver

POLLED = StoreTraits(poll_interval=0.01)
BILLED = StoreTraits(writes_are_billed=True)


def by_hand(traits: StoreTraits | None = None, most: int = 100, **settings: Any) -> Driver:
    """A pod by hand that has joined and that nobody wants steps of."""
    driver = Driver(traits=traits, most_by_hand=most, **settings)
    request = driver.sync_once()
    assert (type(request.pod_command), request.claim) == (Join, 0)
    return driver


def want(driver: Driver, steps: int, routes: Routes = EVERYWHERE) -> None:
    driver.machine.want({routes: steps})
    driver.machine.look(routes)


def has_looked(driver: Driver, routes: Routes = EVERYWHERE) -> bool:
    return driver.machine.has_looked(driver.now, routes)


def hold(driver: Driver, *step_ids: str) -> None:
    """Claim these steps for a caller."""
    want(driver, len(step_ids))
    driver.sync_once(*step_ids)
    driver.machine.want({})


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
    driver.machine.want({EVERYWHERE: 4})
    assert driver.plan().request is None
    assert has_looked(driver)
    driver.wait(5)
    assert driver.sync().claim == 4


def test_caller_that_comes_later_makes_the_pod_look_again_at_once() -> None:
    driver = by_hand()
    want(driver, 1)
    driver.sync_once()
    assert driver.plan().request is None
    want(driver, 1)
    assert not has_looked(driver)
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
    assert not has_looked(driver)
    driver.answer(request)
    assert has_looked(driver)


def test_pod_has_not_looked_while_the_store_is_away() -> None:
    driver = by_hand()
    want(driver, 1)
    driver.sync()
    driver.machine.on_store_unavailable(driver.now)
    assert not has_looked(driver)


def test_full_pod_has_looked() -> None:
    driver = by_hand(most=1)
    hold(driver, "a")
    want(driver, 1)
    assert driver.plan().request is None
    assert has_looked(driver)


def test_caller_costs_one_poll_where_writes_are_billed_until_the_counter_changes() -> None:
    driver = by_hand(BILLED)
    want(driver, 1)
    assert driver.plan().poll
    driver.machine.on_change_counter(7, driver.now)
    driver.sync_once()  # the counter was not known before
    for _ in range(3):
        driver.wait(1)
        want(driver, 1)
        assert not has_looked(driver)
        plan = driver.plan()
        assert (plan.poll, plan.request) == (True, None)
        driver.machine.on_change_counter(7, driver.now)
        assert driver.plan().request is None
        assert has_looked(driver)
    want(driver, 1)
    assert driver.plan().poll
    driver.machine.on_change_counter(8, driver.now)
    assert not has_looked(driver)
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
    driver.machine.want({})
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


GPU = Routes(queues=("gpu",))
MAIL = Routes(task_types=("mail",))


def want_both(driver: Driver, gpu: int = 2, mail: int = 3) -> None:
    driver.machine.want({GPU: gpu, MAIL: mail})
    driver.machine.look(GPU)
    driver.machine.look(MAIL)


def claims_of(driver: Driver, requests: int) -> list[tuple[Routes, int]]:
    """The next claims; the store has no step for any."""
    claims = []
    for _ in range(requests):
        request = driver.sync_once()
        claims.append((request.routes, request.claim))
    return claims


def test_each_claim_is_for_one_of_the_routes_that_are_wanted() -> None:
    driver = by_hand()
    want_both(driver)
    assert claims_of(driver, 2) == [(GPU, 2), (MAIL, 3)]
    assert driver.plan().request is None
    driver.wait(5)
    assert claims_of(driver, 2) == [(GPU, 2), (MAIL, 3)]


def test_routes_with_many_steps_and_routes_with_none_take_turns() -> None:
    driver = by_hand()
    for number in range(5):
        want_both(driver)
        driver.wait(0.01)
        request = driver.sync_once(f"a{number}", f"b{number}")
        assert request.routes == GPU
        driver.machine.want({GPU: 2, MAIL: 3})
        driver.wait(0.01)
        assert driver.sync_once().routes == MAIL
        assert not has_looked(driver, GPU)
        assert has_looked(driver, MAIL)


def test_repeated_claim_is_for_the_same_routes() -> None:
    driver = by_hand()
    want_both(driver)
    request = driver.sync()
    driver.machine.on_store_unavailable(driver.now)
    driver.machine.want({MAIL: 3})
    driver.wait(60)
    assert driver.sync().routes == request.routes == GPU


def test_step_that_becomes_due_is_claimed_although_other_routes_had_none() -> None:
    driver = by_hand()
    want_both(driver)
    driver.sync_once(next_due=AT + 1_000_000)
    driver.sync_once()
    assert driver.plan().request is None
    driver.wait(1)
    assert driver.sync_once().routes == GPU


def test_ended_step_makes_room_for_the_routes_that_were_held_back() -> None:
    driver = by_hand()
    hold(driver, "a")
    want_both(driver)
    driver.sync_once()
    driver.sync_once(held_back=True)
    assert driver.plan().request is None
    driver.finish("a")
    assert not has_looked(driver, MAIL)
    request = driver.sync()
    assert (request.routes, request.claim, len(request.outcomes)) == (MAIL, 3, 1)


def test_sleeping_pod_looks_for_all_routes_when_the_counter_changes() -> None:
    driver = asleep()
    want_both(driver)
    looks_of_sleeper(driver)
    for counter in (8, 9):
        driver.wait(1)
        assert driver.plan().request is None
        driver.machine.on_change_counter(counter, driver.now)
        looks_of_sleeper(driver)
        driver.wait(5)
        looks_of_sleeper(driver)  # a store may show the change before it shows the step


def looks_of_sleeper(driver: Driver) -> None:
    """The pod looks for a step of each route, without waking, and finds none."""
    for routes in (GPU, MAIL):
        request = driver.sync()
        assert (request.routes, request.only_if_claimable) == (routes, True)
        driver.answer(request, done=False)
    assert driver.machine.phase == "asleep"


def test_sleeping_pod_claims_for_routes_that_it_does_not_know() -> None:
    driver = asleep()
    driver.machine.want({})
    want(driver, 1)
    assert driver.plan().request is None
    want(driver, 1, GPU)
    assert driver.sync().routes == GPU


def test_memory_of_routes_is_bounded() -> None:
    driver = by_hand()
    for number in range(3 * MOST_TIMINGS):
        want(driver, 1, Routes(task_types=(f"type {number}",)))
    by_hand_claims = driver.machine._by_hand
    assert by_hand_claims is not None
    assert len(by_hand_claims._timings) <= MOST_TIMINGS
