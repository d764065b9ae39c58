"""A pod stops if its store has carried out nothing for too long, and only then."""

from __future__ import annotations

import pytest

from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import StoreContended, StoreGivenUp, StoreUnavailable, UnknownStoreError
from fleet_q.core.ports import StoreTraits
from fleet_q.core.step import Complete, Submit
from fleet_q.core.worker.store_backoff import UNKNOWN_TRIES
from tests.core.helpers import Driver, up
from tests.core.test_program import ByHand, fail

LIMIT = 600.0


def fail_for(
    driver: Driver, seconds: float, every: float = 5.0, *, contended: bool = False
) -> None:
    """Let every call of the store fail for so long."""
    driver.machine.on_store_unavailable(driver.now, contended=contended)
    until = driver.now + seconds
    while driver.now < until:
        driver.wait(every)
        driver.plan()
        driver.machine.on_store_unavailable(driver.now, contended=contended)


@pytest.mark.parametrize("contended", [False, True])
def test_pod_gives_up_when_its_store_has_failed_for_the_set_time(contended: bool) -> None:
    driver = up("a", store_give_up_after=LIMIT)
    fail_for(driver, LIMIT - 5, contended=contended)
    assert not driver.machine.should_give_up
    driver.wait(5)
    driver.machine.on_store_unavailable(driver.now, contended=contended)
    assert driver.machine.should_give_up
    assert driver.machine.failing_for == LIMIT


def test_success_restarts_the_time_until_a_pod_gives_up() -> None:
    driver = up("a", store_give_up_after=LIMIT)
    for _ in range(3):
        fail_for(driver, LIMIT - 10)
        driver.wait(5)
        driver.sync_once()
        assert driver.machine.failing_for == 0


def test_suspended_process_does_not_give_up_when_it_goes_on() -> None:
    driver = up("a", store_give_up_after=LIMIT)
    driver.machine.on_store_unavailable(driver.now)
    driver.wait(100 * LIMIT)
    driver.machine.on_store_unavailable(driver.now)
    assert driver.machine.failing_for == LIMIT / 10


def test_answered_poll_counts_as_success_for_a_pod_that_has_nothing_to_write() -> None:
    driver = up(traits=StoreTraits(writes_are_billed=True), store_give_up_after=LIMIT)
    fail_for(driver, LIMIT / 2)
    assert driver.machine._requests.pending is not None
    driver.machine.on_change_counter(1, driver.now)
    assert driver.machine.failing_for > 0
    driver.wait(5)
    driver.answer(driver.sync())
    driver.machine.on_store_unavailable(driver.now)
    driver.wait(5)
    driver.machine.on_store_unavailable(driver.now)
    driver.machine.on_change_counter(2, driver.now)
    assert driver.machine.failing_for == 0


@pytest.mark.parametrize("kind", [StoreUnavailable, StoreContended, UnknownStoreError, OSError])
def test_pod_that_gives_up_stops_its_functions_with_one_line(kind: type[Exception]) -> None:
    pod = ByHand(store_give_up_after=LIMIT)
    pod.store.submit([Submit("a", "{}")])
    pod.live(1)
    away = fail(kind("Snowflake: it is so"))
    while not pod.observer.failed:
        pod.go_on(away)
    (error,) = pod.observer.failed
    assert isinstance(error, StoreGivenUp)
    assert str(error).startswith("the store has carried out nothing for 60")
    assert str(error).endswith("(FLEET_Q_STORE_GIVE_UP_AFTER); the last error: Snowflake: it is so")
    assert pod.functions.closed


def test_pod_that_gives_up_releases_its_steps_if_the_store_answers_again() -> None:
    pod = ByHand(store_give_up_after=LIMIT)
    pod.store.submit([Submit("a", "{}")])
    pod.live(1)
    while not pod.observer.failed:
        pod.go_on(fail(StoreUnavailable("away")))
    pod.end()
    step = pod.store.step("a")
    assert step is not None
    assert step.status == "pending"


def test_outcome_that_always_meets_an_unknown_error_fails_its_step_and_not_its_pod() -> None:
    pod = ByHand()
    pod.store.submit([Submit("good", "{}"), Submit("bad", "{}")])
    pod.live(1)
    pod.messages += [
        Complete(step.step_id, step.claim_token or "", "1") for step in pod.functions.started
    ]
    tries = 0
    while pod.pod.held:
        need = pod.need
        is_sync = isinstance(need, StoreCall) and need.method == "sync"
        outcomes = need.args[0].outcomes if isinstance(need, StoreCall) and is_sync else ()
        if any(isinstance(o, Complete) and o.step_id == "bad" for o in outcomes):
            tries += 1
            pod.go_on(fail(UnknownStoreError("nobody knows")))
        else:
            pod.go_on()
    good, bad = pod.store.step("good"), pod.store.step("bad")
    assert good is not None
    assert good.status == "completed"
    assert bad is not None
    assert (bad.status, bad.error) == (
        "failed",
        "the store refused the step's outcome: nobody knows",
    )
    assert tries >= 2 * UNKNOWN_TRIES
    assert not pod.observer.failed


def test_few_unknown_errors_in_a_row_refuse_no_outcome() -> None:
    pod = ByHand()
    pod.store.submit([Submit("a", "{}")])
    pod.live(1)
    (step,) = pod.functions.started
    pod.messages.append(Complete("a", step.claim_token or "", "1"))
    for _ in range(UNKNOWN_TRIES - 1):
        pod.live_until_sync()
        pod.go_on(fail(UnknownStoreError("nobody knows")))
    while pod.pod.held:
        pod.go_on()
    done = pod.store.step("a")
    assert done is not None
    assert done.status == "completed"


def test_unknown_error_of_a_sync_without_outcomes_is_retried_until_the_pod_gives_up() -> None:
    pod = ByHand(store_give_up_after=LIMIT)
    pod.live(1)
    for _ in range(3 * UNKNOWN_TRIES):
        pod.live_until_sync()
        pod.go_on(fail(UnknownStoreError("nobody knows")))
    assert not pod.observer.failed
