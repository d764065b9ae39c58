"""Claims of steps whose queues have limits."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from random import Random
from typing import Any

import pytest

from fleet_q.core.pod import SendHeartbeat
from fleet_q.core.ports import Store, SyncRequest, SyncResult
from fleet_q.core.queues import QueueChange
from fleet_q.core.rate import Rate
from fleet_q.core.step import Complete, Fail, Outcome, Release, Submit

from .clock import SECOND, FakeClock
from .helpers import acknowledge, at_once, claim, ids, join, recover_all, submit
from .stores import StoreKind


@pytest.fixture(autouse=True)
def _joined(store: Store) -> None:
    for pod_id in ("pod", "other"):
        join(store, pod_id)


def limit(store: Store, queue: str = "q", **limits: Any) -> None:
    store.set_queue(queue, QueueChange(**limits))


def steps(store: Store, *step_ids: str, queue: str = "q", **options: Any) -> None:
    submit(store, *step_ids, queue=queue, **options)


def sync(
    store: Store, count: int, *outcomes: Outcome, token: str = "t", **options: Any
) -> SyncResult:
    options |= {"outcomes": outcomes, "claim": count, "claim_token": token}
    return store.sync(SyncRequest("pod", "one", **options))


def test_no_more_run_than_max_running_in_the_whole_fleet(store: Store) -> None:
    limit(store, max_running=3)
    steps(store, *"abcde")
    assert claim(store, 2) == ["a", "b"]
    assert claim(store, 2, pod_id="other") == ["c"]
    assert claim(store, 2, pod_id="other") == []


@pytest.mark.parametrize(
    "outcome",
    [Complete("a", "t", "1"), Fail("a", "t", "Boom", retry_delay=SECOND), Release("a", "t")],
    ids=["completed", "retried", "released"],
)
def test_outcome_makes_room(store: Store, outcome: Outcome) -> None:
    limit(store, max_running=1)
    steps(store, "a", "b")
    assert claim(store, 2, "t") == ["a"]
    acknowledge(store, outcome)
    assert len(claim(store, 2)) == 1
    assert claim(store, 2) == []


def test_outcome_makes_room_for_the_claim_that_it_comes_with(store: Store) -> None:
    limit(store, max_running=1)
    steps(store, "a", "b", "c")
    assert claim(store, 2, "t") == ["a"]
    result = sync(store, 2, Complete("a", "t", "1"), token="u")
    assert ids(result.claimed) == ["b"]
    assert result.refused == ()


def test_late_outcome_makes_no_room(store: Store) -> None:
    limit(store, max_running=1)
    steps(store, "a", "b")
    assert claim(store, 2, "t") == ["a"]
    result = sync(store, 2, Complete("a", "not the token", "1"), token="u")
    assert result.claimed == ()
    assert result.refused == ("a",)


def test_cancelled_and_recovered_steps_make_room(store: Store) -> None:
    limit(store, max_running=2)
    steps(store, *"abcde")
    assert claim(store, 1) == ["a"]
    assert claim(store, 1, pod_id="other") == ["b"]
    store.cancel("a")
    join(store, "other", "two")
    recover_all(store)
    assert claim(store, 9) == ["b", "c"]


def test_no_more_of_a_key_run_than_its_limit(store: Store) -> None:
    limit(store, max_running_per_key=1)
    steps(store, "a1", "a2", key="a")
    steps(store, "b1", "b2", key="b")
    assert claim(store, 9, "t") == ["a1", "b1"]
    assert claim(store, 9, pod_id="other") == []
    acknowledge(store, Complete("b1", "t", "1"))
    assert claim(store, 9, pod_id="other") == ["b2"]


def test_steps_without_a_key_are_not_limited_by_key(store: Store) -> None:
    limit(store, max_running_per_key=1)
    steps(store, "a", "b")
    steps(store, "c1", "c2", key="c")
    assert claim(store, 9) == ["a", "b", "c1"]


def test_keys_of_different_queues_have_nothing_in_common(store: Store) -> None:
    limit(store, max_running_per_key=1)
    limit(store, "r", max_running_per_key=1)
    steps(store, "a", key="k")
    steps(store, "b", key="k", queue="r")
    steps(store, "c1", "c2", key="k", queue="free")
    assert claim(store, 9) == ["a", "b", "c1", "c2"]


def test_both_limits_hold_together(store: Store) -> None:
    limit(store, max_running=3, max_running_per_key=2)
    steps(store, "a1", "a2", "a3", key="a")
    steps(store, "b1", "b2", key="b")
    assert claim(store, 9) == ["a1", "a2", "b1"]


def test_steps_without_room_do_not_hold_up_those_behind_them(store: Store) -> None:
    limit(store, max_running=1)
    limit(store, "paused", paused=True)
    steps(store, "a", "b", priority=5)
    steps(store, "c", queue="paused", priority=9)
    steps(store, "d", queue="free")
    assert claim(store, 2) == ["a", "d"]


def test_paused_queue_waits_until_it_is_resumed(store: Store) -> None:
    steps(store, "a", "b")
    assert claim(store, 1, "t") == ["a"]
    limit(store, paused=True)
    assert claim(store) == []
    assert acknowledge(store, Complete("a", "t", "1")).refused == ()
    limit(store, paused=False)
    assert claim(store) == ["b"]


def test_change_of_a_limit_holds_from_the_next_claim_on(store: Store) -> None:
    limit(store, max_running=1)
    steps(store, *"abcdef")
    assert claim(store, 9, "t") == ["a"]
    limit(store, max_running=3)
    assert claim(store, 9) == ["b", "c"]
    limit(store, max_running=2)
    acknowledge(store, Complete("a", "t", "1"))
    assert claim(store, 9) == []
    limit(store, max_running=None)
    assert claim(store, 9) == ["d", "e", "f"]


def test_rate_bounds_the_claims_over_time(store: Store, clock: FakeClock) -> None:
    limit(store, rate=Rate(2, 10 * SECOND))
    steps(store, *"abcdef")
    assert claim(store, 9) == ["a", "b"]
    clock.advance(4)
    assert claim(store, 9) == []
    clock.advance(1)
    assert claim(store, 9, pod_id="other") == ["c"]
    clock.advance(1_000)
    assert claim(store, 9) == ["d", "e"]


def test_rate_does_not_wait_for_the_time_before_the_clock_was_set_back(
    kind: StoreKind, store: Store, clock: FakeClock
) -> None:
    limit(store, rate=Rate(2, 10 * SECOND))
    steps(store, *"abcde")
    assert claim(store, 9) == ["a", "b"]
    clock.step(-1_000 - kind.longest_wait)
    assert claim(store, 9) == []
    clock.advance(5 + kind.longest_wait)
    assert claim(store, 9) == ["c"]


def test_result_says_when_the_next_step_may_be_claimed(store: Store, clock: FakeClock) -> None:
    limit(store, rate=Rate(2, 10 * SECOND))
    steps(store, *"abc")
    result = sync(store, 9)
    assert len(result.claimed) == 2
    assert (result.more, result.held_back) == (False, True)
    assert result.next_due == clock() + 5 * SECOND
    assert sync(store, 9, token="u").next_due == clock() + 5 * SECOND


def test_retried_request_takes_no_more_tokens(store: Store) -> None:
    limit(store, rate=Rate(2, 10 * SECOND))
    steps(store, *"abcd")
    assert claim(store, 1, "t") == ["a"]
    assert ids(sync(store, 1, token="t", is_retry=True).claimed) == ["a"]
    assert claim(store, 9) == ["b"]


def test_step_of_a_limited_queue_is_not_prefetched(store: Store) -> None:
    limit(store, max_running=9)
    steps(store, *"abc")
    steps(store, "d", "e", queue="free")
    result = sync(store, 5, prefetch=4, records_starts=True)
    assert ids(result.claimed) == ["a", "d", "e"]
    assert result.more


def test_result_tells_what_is_held_back_from_what_may_be_claimed(store: Store) -> None:
    limit(store, max_running=1)
    steps(store, "a", "b")
    result = sync(store, 9)
    assert (ids(result.claimed), result.more, result.held_back) == (["a"], False, True)
    result = sync(store, 1, Complete("a", "t", "1"), token="u")
    assert (ids(result.claimed), result.more, result.held_back) == (["b"], False, False)
    result = sync(store, 9, Complete("b", "u", "1"), token="v")
    assert (result.claimed, result.more, result.held_back) == ((), False, False)


def test_sleeping_pod_does_not_wake_for_a_step_that_is_held_back(store: Store) -> None:
    limit(store, paused=True)
    steps(store, "a")
    wake = SyncRequest(
        "pod", "one", SendHeartbeat("pod", "one"), claim=3, claim_token="t", only_if_claimable=True
    )
    result = store.sync(wake)
    assert (result.done, result.claimed, result.more) == (False, (), False)


def test_pods_that_claim_at_once_do_not_exceed_a_limit(store: Store, clients: list[Store]) -> None:
    limit(store, max_running=5, max_running_per_key=2)
    pods = [f"pod-{number}" for number in range(6)]
    for pod_id in pods:
        join(store, pod_id)
    for key in "abcd":
        steps(store, *(f"{key}{number}" for number in range(5)), key=key)
    claims = at_once(lambda n: claim(clients[n % len(clients)], 3, pod_id=pods[n]), range(6))
    claimed = list(chain(*claims))
    assert len(claimed) == len(set(claimed)) == 5
    assert max(Counter(step_id[0] for step_id in claimed).values()) == 2


@pytest.mark.parametrize("seed", range(8))
def test_claims_are_the_first_steps_for_which_there_is_room(store: Store, seed: int) -> None:
    """Against the rule itself: one step after the other, in the order of claims."""
    chance = Random(seed)
    limits: dict[str, tuple[float, float]] = {}
    for queue in "pqr":
        total, per_key = chance.choice([None, 0, 2, 7]), chance.choice([None, 1, 3])
        change = QueueChange(
            max_running=total or None, max_running_per_key=per_key, paused=total == 0
        )
        store.set_queue(queue, change)
        limits[queue] = (9e9 if total is None else total, per_key or 9e9)
    new = [
        Submit(
            f"step-{number:03}",
            "{}",
            priority=chance.randint(0, 2),
            queue=chance.choice("pqrs"),
            key=chance.choice([None, "a", "b", "c", 'd "e"', "é"]),
            task_type=chance.choice(["", "one", "two"]),
        )
        for number in range(60)
    ]
    store.submit(new)
    waiting = sorted(new, key=lambda step: (-step.priority, step.step_id))
    running: Counter[Any] = Counter()
    for _ in range(4):
        count = chance.choice([1, 3, 10, 40])
        expected: list[Submit] = []
        for step in waiting:
            most, most_per_key = limits.get(step.queue, (9e9, 9e9))
            key = (step.queue, step.key)
            has_room = running[step.queue] < most
            if step.key is not None:
                has_room = has_room and running[key] < most_per_key
            if has_room and len(expected) < count:
                expected.append(step)
                running[step.queue] += 1
                running[key] += 1
        assert claim(store, count) == [step.step_id for step in expected]
        waiting = [step for step in waiting if step not in expected]
