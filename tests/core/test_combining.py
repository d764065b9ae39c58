"""How a pod posts a request to the mailbox under contention, and polls until it is served."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import IncarnationEnded, StoreContended, StoreUnavailable
from fleet_q.core.lifecycle import PodStatus
from fleet_q.core.mailbox import BUSY_FACTOR, LONGEST_WAIT, PATIENCE
from fleet_q.core.pod import Drain, Join, Leave, Pod, SendHeartbeat, Sleep
from fleet_q.core.ports import PodList, StoreTraits, SyncRequest, SyncResult
from fleet_q.core.step import Complete
from fleet_q.core.worker.combining import (
    FEW_PODS,
    LONGEST_WAIT_ASLEEP,
    MANY_PODS,
    MANY_SLEEPERS,
    MOST_POSTED_BYTES,
    SERVING_CALLS,
)
from tests.core.helpers import AT, Driver, claimed

COMBINES = StoreTraits(writes_are_billed=True, most_waiters=20, shortest_sync=1.0, combines=True)
CLAIM = SyncRequest("pod", "id-1", claim=1, claim_token="t")


class Posting(Driver):
    """A pod that has joined and read ``pods``; once it is ``contended`` it posts its requests.
    Each call takes ``call_takes`` seconds."""

    def __init__(
        self, *, contended: bool = True, traits: StoreTraits = COMBINES, pods: int = 1
    ) -> None:
        super().__init__(traits=traits)
        self.sync_once()
        self.call_takes = 0.0
        self.combining = self.machine.combining
        self.read_pods(up=pods)
        if contended:
            self.machine.on_store_unavailable(self.now, contended=True)
            self.wait(60.0)
        self.waited: list[float] = []

    def read_pods(self, *, up: int, asleep: int = 0) -> None:
        statuses: list[PodStatus] = ["up" if n < up else "asleep" for n in range(up + asleep)]
        pods = (Pod(f"pod-{n}", status, 0, 0, f"i-{n}") for n, status in enumerate(statuses))
        self.machine.silent(PodList(AT, tuple(pods)), self.now)

    def waiting(self, seconds: float) -> Generator[Any, Any, None]:
        self.waited.append(seconds)
        yield from ()

    def exchange(self, request: SyncRequest, *answers: SyncResult | Exception | None) -> list[Any]:
        """Exchange a request; the store gives these answers. Returns the calls and the result."""
        exchange = self.combining.exchange(request, self.waiting, lambda: self.now)
        calls = [next(exchange)]
        for answer in answers:
            self.wait(self.call_takes)
            try:
                if isinstance(answer, Exception):
                    calls.append(exchange.throw(answer))
                else:
                    calls.append(exchange.send(answer))
            except StopIteration as end:
                calls.append(end.value)
            except Exception as error:
                calls.append(error)
        return calls


def methods(calls: list[Any]) -> list[tuple[str, int]]:
    return [(c.method, c.args[1]) for c in calls if isinstance(c, StoreCall)]


def test_pod_that_saw_no_contention_syncs_directly() -> None:
    assert not Posting(contended=False).combining.should_post(CLAIM)


def test_pod_posts_after_a_rejection() -> None:
    assert Posting().combining.should_post(CLAIM)


def test_pod_posts_after_a_sync_that_waited_for_a_lock() -> None:
    driver = Posting(contended=False)
    for seconds in (1.0, 1.4, 1.6):
        assert not driver.combining.should_post(CLAIM)
        driver.wait(100.0)
        request = driver.sync()
        driver.wait(seconds)
        driver.answer(request)
    assert driver.combining.should_post(CLAIM)


def test_pod_posts_only_if_the_store_combines() -> None:
    driver = Posting(traits=StoreTraits(most_waiters=20))
    assert not driver.combining.should_post(CLAIM)


@pytest.mark.parametrize(
    "request_",
    [
        SyncRequest("pod", "id-1", SendHeartbeat("pod", "id-1")),
        SyncRequest("pod", "id-1", check_held=(("a", "t"),)),
        SyncRequest("pod", "id-1", outcomes=(Complete("a", "t", "1" * MOST_POSTED_BYTES * 2),)),
    ],
)
def test_heartbeats_and_large_requests_are_sent_directly(request_: SyncRequest) -> None:
    assert not Posting(pods=MANY_PODS + 1).combining.should_post(request_)


def test_contended_pod_posts_commands_too() -> None:
    for command in (Sleep("pod", "id-1"), Drain("pod", "id-1"), Leave("pod", "id-1")):
        request = SyncRequest("pod", "id-1", command)
        assert Posting().combining.should_post(request)
        assert not Posting(contended=False).combining.should_post(request)


@pytest.mark.parametrize(("asleep", "is_posted"), [(FEW_PODS - 1, False), (FEW_PODS, True)])
def test_pods_of_a_large_fleet_fall_asleep_through_the_mailbox(
    asleep: int, is_posted: bool
) -> None:
    driver = Posting(contended=False)
    driver.read_pods(up=1, asleep=asleep)
    sleep = SyncRequest("pod", "id-1", Sleep("pod", "id-1"))
    assert driver.combining.should_post(sleep) is is_posted


@pytest.mark.parametrize("contended", [False, True])
@pytest.mark.parametrize(
    ("asleep", "is_posted"), [(MANY_SLEEPERS - 1, False), (MANY_SLEEPERS, True)]
)
def test_pods_of_a_large_fleet_wake_through_the_mailbox(
    asleep: int, is_posted: bool, contended: bool
) -> None:
    driver = Posting(contended=contended)
    driver.read_pods(up=1, asleep=asleep)
    wake = replace(CLAIM, pod_command=SendHeartbeat("pod", "id-1"), only_if_claimable=True)
    assert driver.combining.should_post(wake) is is_posted


@pytest.mark.parametrize(("pods", "is_posted"), [(MANY_PODS, False), (MANY_PODS + 1, True)])
def test_outcomes_of_many_pods_are_posted(pods: int, is_posted: bool) -> None:
    driver = Posting(contended=False, pods=pods)
    outcomes = SyncRequest("pod", "id-1", outcomes=(Complete("a", "t", "1"),))
    assert driver.combining.should_post(outcomes) is is_posted


def test_pod_posts_until_it_has_read_how_many_pods_there_are() -> None:
    driver = Driver(traits=COMBINES)
    driver.sync_once()
    assert driver.machine.combining.should_post(CLAIM)


def test_pod_polls_less_often_while_calls_wait_for_a_slot() -> None:
    quick, busy, stuck = Posting(), Posting(), Posting()
    busy.call_takes, stuck.call_takes = 3.0, 60.0
    for driver in (quick, busy, stuck):
        driver.exchange(CLAIM, None, None)
    assert max(quick.waited) < min(busy.waited)
    assert busy.waited == [BUSY_FACTOR * (3.0 - COMBINES.shortest_sync)] * 2
    assert stuck.waited == [LONGEST_WAIT] * 2
    asleep = Posting()
    asleep.call_takes = 60.0
    asleep.exchange(replace(CLAIM, only_if_claimable=True), None)
    assert asleep.waited == [LONGEST_WAIT_ASLEEP]


def test_pod_is_more_patient_while_calls_wait_for_a_slot() -> None:
    driver = Posting()
    driver.call_takes = 3.0
    first, second, _ = driver.exchange(CLAIM, None, None)
    assert second.args[2] > first.args[2] > PATIENCE
    assert second.args[2] >= PATIENCE * SERVING_CALLS * 3.0


def test_joins_are_posted_without_contention_too() -> None:
    join = SyncRequest("pod", "id-1", Join("pod", "id-1"))
    assert Posting(contended=False).combining.should_post(join)


def test_join_claims_nothing_where_it_is_posted() -> None:
    driver = Driver(traits=COMBINES)
    request = driver.sync()
    assert isinstance(request.pod_command, Join)
    assert request.claim == 0
    driver.answer(request)
    assert driver.sync().claim > 0


@pytest.mark.parametrize(("pods", "is_posted"), [(10, False), (11, True)])
def test_claims_of_a_large_fleet_are_posted(pods: int, is_posted: bool) -> None:
    driver = Posting(contended=False)
    driver.read_pods(up=pods, asleep=1)
    assert driver.combining.should_post(CLAIM) is is_posted
    with_outcome = replace(CLAIM, outcomes=(Complete("a", "t", "1"),))
    assert not driver.combining.should_post(with_outcome)


def test_exchange_posts_once_and_polls_until_the_request_is_served() -> None:
    driver = Posting()
    result = SyncResult(AT, (claimed("a"),))
    calls = driver.exchange(CLAIM, None, None, result)
    assert methods(calls) == [("post", 1), ("poll", 1), ("poll", 1)]
    assert calls[-1] == result
    assert len(driver.waited) == 2


def test_exchange_ends_with_the_post_that_serves() -> None:
    driver = Posting()
    result = SyncResult(AT)
    assert driver.exchange(CLAIM, result)[-1] == result
    assert driver.waited == []


def test_every_request_has_a_number_of_its_own() -> None:
    driver = Posting()
    for number in (1, 2):
        assert methods(driver.exchange(CLAIM, SyncResult(AT))) == [("post", number)]
        driver.machine.combining.on_answer()


@pytest.mark.parametrize("error", [StoreUnavailable("lost"), StoreContended("full")])
def test_exchange_is_continued_under_the_same_number_after_an_error(error: Exception) -> None:
    driver = Posting()
    assert driver.exchange(CLAIM, error)[-1] is error
    assert driver.combining.should_post(CLAIM)
    calls = driver.exchange(replace(CLAIM, is_retry=True), SyncResult(AT))
    assert methods(calls) == [("poll", 1)]
    assert driver.waited == [0.0]  # heartbeats that are due go first


def test_posted_request_is_not_forgotten_when_it_is_contended() -> None:
    driver = Posting()
    driver.wait(100.0)
    request = driver.sync()
    driver.exchange(request, StoreContended("full"))
    driver.machine.on_store_unavailable(driver.now, contended=True)
    driver.wait(100.0)
    again = driver.sync()
    assert again.is_retry
    assert again.claim_token == request.claim_token


def test_request_after_one_that_was_given_up_is_posted_to_make_it_void() -> None:
    driver = Posting(contended=False)
    driver.combining.is_posted = True
    driver.combining.on_given_up()
    assert driver.combining.should_post(CLAIM)
    driver.exchange(CLAIM, SyncResult(AT))
    driver.combining.on_answer()
    assert not driver.combining.should_post(CLAIM)


def test_new_incarnation_need_not_make_requests_of_the_old_one_void() -> None:
    driver = Posting(contended=False)
    driver.exchange(CLAIM, IncarnationEnded("pod", superseded=False))
    driver.machine.on_incarnation_ended()
    assert not driver.combining.should_post(CLAIM)


@pytest.mark.parametrize(("others", "is_direct"), [(0, True), (3, False), (None, False)])
def test_pod_syncs_directly_again_once_it_served_nobody_else(
    others: int | None, is_direct: bool
) -> None:
    driver = Posting()
    driver.wait(100.0)
    request = driver.sync()
    (*_, result) = driver.exchange(request, SyncResult(AT, served_others=others))
    driver.machine.on_synced(request, result, driver.now)
    assert driver.combining.should_post(CLAIM) is not is_direct


def test_heartbeat_is_due_while_another_request_is_under_way() -> None:
    driver = Posting()
    driver.sync_once()
    assert driver.machine.due_heartbeat(driver.now) is None
    driver.wait(10.0)
    heartbeat = driver.machine.due_heartbeat(driver.now)
    assert heartbeat == SyncRequest("pod", "id-1", SendHeartbeat("pod", "id-1"))
    driver.machine.on_heartbeat(driver.now)
    assert driver.machine.due_heartbeat(driver.now) is None


def test_pod_that_falls_asleep_sends_no_heartbeat_meanwhile() -> None:
    driver = Posting()
    driver.sync_once()
    driver.machine._requests.pending = SyncRequest("pod", "id-1", Sleep("pod", "id-1"))
    driver.wait(10.0)
    assert driver.machine.due_heartbeat(driver.now) is None


def test_next_heartbeat_is_due_an_interval_after_the_last_one_was_posted() -> None:
    driver = Posting()
    driver.wait(100.0)
    request = driver.sync()
    assert request.pod_command is not None
    driver.exchange(request, StoreUnavailable("lost"))
    driver.machine.on_store_unavailable(driver.now)
    driver.wait(8.0)
    again = driver.sync()
    driver.exchange(again, SyncResult(AT))
    driver.answer(again)
    assert driver.machine.due_heartbeat(driver.now) is None
    driver.wait(2.0)
    assert driver.machine.due_heartbeat(driver.now) is not None


def test_store_that_answers_while_a_request_waits_has_not_failed() -> None:
    driver = Posting()
    backoff = driver.machine._backoff
    for answered in (lambda: driver.exchange(CLAIM, None), lambda: driver.machine.on_heartbeat(0)):
        driver.machine.on_store_unavailable(driver.now)
        driver.wait(30.0)
        driver.machine.on_store_unavailable(driver.now)
        assert backoff.failing_for > 0
        answered()
        assert backoff.failing_for == 0


def test_other_request_is_not_taken_for_the_one_that_waits() -> None:
    driver = Posting()
    driver.exchange(CLAIM, StoreUnavailable("lost"))
    assert methods(driver.exchange(CLAIM, SyncResult(AT))) == [("post", 2)]


def test_contended_pod_sends_its_heartbeat_early_along_with_another_request() -> None:
    for contended in (True, False):
        driver = Posting(contended=contended)
        driver.wait(100.0)
        driver.sync_once("a")
        driver.wait(6.0)
        driver.machine.work_arrived()
        request = driver.sync()
        assert request.claim
        assert (request.pod_command is not None) is contended


def test_contended_pod_without_free_slots_lets_outcomes_linger_as_long_as_a_sync() -> None:
    driver = Posting()
    driver.machine.work_arrived()
    request = driver.sync()
    driver.exchange(request, SyncResult(AT))
    driver.wait(3.0)
    driver.answer(request, *"abcdefgh")
    driver.finish("a")
    assert driver.plan().request is None
    driver.wait(2.9)
    assert driver.plan().request is None
    driver.wait(0.1)
    assert len(driver.sync().outcomes) == 1
