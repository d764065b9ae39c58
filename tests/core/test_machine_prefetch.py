"""Prefetching: a pod claims steps that begin within two syncs, releases those that do not, and
begins no step whose claim may have been lost."""

from __future__ import annotations

from fleet_q.core.pod import SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Release
from tests.core.helpers import Driver, up


def take(driver: Driver, seconds: float, *step_ids: str, payload: str = "{}") -> int:
    """Do a sync of that duration. Returns the number of steps that it asks for."""
    request = due_request(driver)
    driver.wait(seconds)
    driver.answer(request, *step_ids, payload=payload)
    return request.claim


def due_request(driver: Driver) -> SyncRequest:
    driver.plan()
    driver.wait(0.2)  # past the linger
    return driver.sync()


def finish_all(driver: Driver, *step_ids: str) -> None:
    for step_id in step_ids:
        driver.finish(step_id)


def test_pod_prefetches_where_steps_end_faster_than_syncs() -> None:
    driver = Driver()
    take(driver, 1.0, *"abcdef")
    finish_all(driver, *"abcdef")  # six within the sync of one second
    assert take(driver, 1.0) == 6 + 12


def test_pod_prefetches_nothing_where_steps_take_longer_than_syncs() -> None:
    driver = Driver()
    take(driver, 0.01, *"abcdef")
    driver.wait(5)
    finish_all(driver, *"abcdef")
    assert take(driver, 0.01) == 6


def test_pod_prefetches_no_more_than_the_setting() -> None:
    driver = Driver(prefetch=3)
    take(driver, 1.0, *"abcdef")
    finish_all(driver, *"abcdef")
    assert take(driver, 1.0) == 6 + 3


def test_claim_that_was_not_filled_ends_prefetching() -> None:
    driver = Driver()
    take(driver, 1.0, *"abcdef")
    finish_all(driver, *"abcdef")
    take(driver, 1.0, "g")
    driver.wait(5)
    assert driver.sync().claim == 5


def test_no_sync_is_sent_only_to_prefetch() -> None:
    driver = pod_with_prefetched_steps()
    assert driver.machine.running == 16
    assert driver.plan().request is None


def pod_with_prefetched_steps() -> Driver:
    """A pod with six slots and syncs of a second, whose functions took no time and then hang. It
    holds 16 of the 18 steps that it asked for."""
    driver = Driver(claim_interval=5.0, heartbeat_interval=30.0)
    take(driver, 1.0, *"abcdef")
    finish_all(driver, *"abcdef")
    take(driver, 1.0, *"ghijklmnopqrstuv")
    return driver


def test_steps_that_will_not_begin_soon_are_released() -> None:
    driver = pod_with_prefetched_steps()
    assert driver.plan().keep is None
    driver.wait(driver.plan().next_at - driver.now)
    keep = driver.plan().keep
    assert keep is not None
    assert keep < 10
    driver.wait(driver.plan().next_at - driver.now)  # a horizon in which nothing has ended
    assert driver.plan().keep == 0
    driver.machine.withdrawn(driver.claims("u", "v"))
    request = due_request(driver)
    assert [type(outcome) for outcome in request.outcomes] == [Release, Release]
    assert request.claim == 0


def test_released_steps_are_not_claimed_again_at_once() -> None:
    driver = pod_with_prefetched_steps()
    for _ in range(2):
        driver.wait(driver.plan().next_at - driver.now)
        driver.plan()
    driver.machine.withdrawn(driver.claims(*"mnopqrstuv"))
    take(driver, 1.0)
    driver.finish("g")
    assert take(driver, 1.0) == 1


def test_nothing_is_released_while_steps_begin_as_fast_as_expected() -> None:
    driver = pod_with_prefetched_steps()
    for ended in ("ghijkl", "mnopqr", "stuv"):
        driver.wait(0.8)
        finish_all(driver, *ended)
        assert driver.plan().keep is None


def test_draining_pod_releases_steps_that_have_not_begun() -> None:
    driver = pod_with_prefetched_steps()
    driver.machine.drain(driver.now)
    assert driver.plan().keep == 0
    assert driver.plan().keep is None


def test_one_sync_confirms_all_claims_for_a_step_that_has_waited() -> None:
    driver = pod_with_prefetched_steps()
    driver.machine.must_confirm()
    request = driver.sync()
    assert request.check_held == driver.claims(*"ghijklmnopqrstuv")
    driver.wait(1.0)
    driver.answer(request, lost=("v",))
    plan = driver.plan()
    assert plan.abandon == driver.claims("v")
    assert plan.begin_by is not None
    assert plan.begin_by > driver.now
    assert driver.plan().begin_by is None


def test_heartbeat_confirms_claims_too() -> None:
    driver = pod_with_prefetched_steps()
    driver.plan()
    driver.wait(30)
    request = driver.sync()
    assert isinstance(request.pod_command, SendHeartbeat)
    driver.answer(request)
    assert driver.plan().begin_by is not None


def test_claims_are_confirmed_after_the_store_was_contended() -> None:
    driver = pod_with_prefetched_steps()
    driver.machine.must_confirm()
    driver.sync()
    driver.wait(driver.machine.on_store_unavailable(driver.now, contended=True))
    assert driver.sync().check_held


def test_nothing_is_confirmed_for_a_pod_that_holds_nothing() -> None:
    driver = Driver()
    driver.sync_once("a")
    driver.finish("a")
    driver.sync_once()
    driver.machine.must_confirm()
    assert driver.plan().request is None


def test_sync_records_at_most_four_mebibytes_of_outcomes() -> None:
    driver = Driver()
    driver.sync_once(*"abcdef")
    sizes = (2.5, 1, 1.5, 0.5, 4.5, 0.5)
    for step_id, size in zip("abcdef", sizes, strict=True):
        driver.finish(step_id, "x" * int(size * 2**20))
    requests = []
    while (request := driver.plan().request) is not None:
        requests.append([outcome.step_id for outcome in request.outcomes])
        driver.answer(request)
    assert requests == [["a", "b"], ["c", "d"], ["e"], ["f"]]


def test_draining_pod_leaves_with_the_last_of_its_large_outcomes() -> None:
    driver = Driver()
    driver.sync_once(*"abc")
    for step_id in "abc":
        driver.finish(step_id, "x" * (3 * 2**20))
    driver.machine.drain(driver.now)
    while not driver.plan().gone:
        driver.wait(0.1)
        request = driver.machine.plan(driver.now).request
        if request is not None:
            driver.answer(request)
    assert not driver.machine.running


def test_pod_prefetches_few_steps_with_large_payloads() -> None:
    driver = Driver()
    payload = "x" * 2**20
    take(driver, 1.0, *"abcdef", payload=payload)
    finish_all(driver, *"abcdef")
    assert take(driver, 1.0, *"ghijklmnopqrs", payload=payload) == 6 + 7  # of a MiB and 4 bytes
    finish_all(driver, *"ghijkl")
    assert take(driver, 1.0) == 0


def test_pod_prefetches_few_steps_with_large_results() -> None:
    driver = Driver()
    take(driver, 1.0, *"abcdef")
    for step_id in "abc":
        driver.finish(step_id, "x" * 2**20)
    request = due_request(driver)
    steps = [f"s{number}" for number in range(request.claim)]
    driver.wait(1.0)
    driver.answer(request, *steps)
    finish_all(driver, *"def", *steps)
    assert due_request(driver).claim == 6 + 7


def test_pod_claims_no_more_than_run_after_releasing_stuck_steps() -> None:
    driver = up(*"abcdef")
    driver.machine.stuck(driver.claims(*"cdef"), driver.now)
    driver.wait(driver.settings.claim_interval)
    request = driver.sync()
    assert request.outcomes == tuple(Release(*claim) for claim in driver.claims(*"cdef"))
    assert request.claim == 0
    driver.answer(request)
    driver.finish("a")  # so one runs, and one more is tried
    driver.wait(driver.settings.claim_interval)
    assert driver.sync_once("g", "h").claim == 2
    driver.wait(driver.settings.recovery_interval)
    assert driver.sync().claim == 3


def test_pod_prefetches_nothing_while_steps_wait_that_need_a_free_slot() -> None:
    driver = Driver()
    take(driver, 1.0, *"abcdef")
    finish_all(driver, *"abcdef")
    request = due_request(driver)
    assert (request.claim, request.prefetch, request.free) == (18, 12, 6)
    driver.wait(1.0)
    driver.answer(request, *"ghijklmn", more=True)
    for ended in "gh":
        driver.finish(ended)
        assert take(driver, 0.5) == 0
    driver.finish("i")
    assert take(driver, 0.5, "o") == 1
    driver.finish("j")
    assert due_request(driver).prefetch > 0


def test_claim_that_left_steps_is_followed_by_another() -> None:
    driver = Driver()
    driver.sync_once("a", more=True)
    assert driver.sync().claim == 5


def test_waiting_steps_are_released_when_results_turn_out_to_be_large() -> None:
    driver = pod_with_prefetched_steps()
    for step_id in "ghi":
        driver.finish(step_id, "x" * (6 * 2**20))
    assert driver.plan().keep == 0
