"""Claiming: what a pod gets, in which order, and who may claim at all."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.pod import Leave
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.step import MAX_CLAIM_SIZE, Fail, Submit

from .clock import FakeClock
from .helpers import (
    acknowledge,
    claim,
    completed_step,
    facts,
    failed_step,
    held_step,
    ids,
    join,
    known,
    snapshot_of,
    submit,
)


def test_claim_assigns_the_step_to_the_pod(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "step")
    before = known(store, "step")
    clock.advance(1)

    result = store.sync(SyncRequest("pod", "one", claim=5, claim_token="token"))

    expected = replace(
        before,
        status="claimed",
        claimed_by="pod",
        incarnation="one",
        claim_token="token",
        last_update_ts=clock(),
        version=2,
    )
    assert result.claimed == (expected,)
    assert result.at == clock()
    assert store.step("step") == expected


def test_claim_returns_steps_by_priority_then_age_then_id(store: Store, clock: FakeClock) -> None:
    wave = [("b", 0), ("a", 0), ("high", 5), ("low", -5)]
    for number in (1, 2):
        for name, priority in random.sample(wave, len(wave)):
            submit(store, f"{name}{number}", priority=priority)
        clock.advance(1)
    join(store)

    assert claim(store, 3) == ["high1", "high2", "a1"]
    assert claim(store, 9) == ["b1", "a2", "b2", "low1", "low2"]


def test_ids_are_ordered_by_code_point(store: Store) -> None:
    by_code_point = ["A", "a", "é", "\ufffd", "😀"]
    submit(store, *reversed(by_code_point))
    join(store)

    assert claim(store, 5) == by_code_point


def test_claim_takes_at_most_the_requested_number(store: Store) -> None:
    submit(store, "a", "b", "c")
    join(store)

    assert claim(store, 2) == ["a", "b"]
    assert store.counts()["pending"] == 1


def test_claimed_or_final_step_is_not_claimed(store: Store) -> None:
    held_step(store, "held")
    completed_step(store, "completed")
    failed_step(store, "failed")
    submit(store, "cancelled")
    store.cancel("cancelled")

    assert claim(store, 9, "another") == []


def test_sync_without_a_claim_returns_no_steps(store: Store) -> None:
    submit(store, "step")
    join(store)

    assert acknowledge(store).claimed == ()
    assert facts(store, "step") == ["submitted"]


@pytest.mark.parametrize(
    ("pod_id", "incarnation", "superseded"),
    [("stranger", "one", False), ("left", "one", False), ("pod", "one", True)],
)
def test_only_a_living_incarnation_claims(
    store: Store, pod_id: str, incarnation: str, superseded: bool
) -> None:
    join(store, "left")
    store.sync(SyncRequest("left", "one", Leave("left", "one")))
    join(store, "pod", "one")
    join(store, "pod", "two")
    submit(store, "step")
    before = snapshot_of(store)

    with pytest.raises(IncarnationEnded) as refusal:
        claim(store, pod_id=pod_id, incarnation=incarnation)

    assert refusal.value.superseded is superseded
    assert snapshot_of(store) == before


def test_step_on_its_last_try_is_not_prefetched(store: Store) -> None:
    join(store)
    for name, max_retries in zip("abcdef", (0, 1, 0, 1, 0, 1), strict=True):
        submit(store, name, max_retries=max_retries)

    result = store.sync(SyncRequest("pod", "one", claim=5, claim_token="token", prefetch=3))

    assert ids(result.claimed) == ["a", "b", "d"]
    assert result.more
    assert claim(store, 3) == ["c", "e", "f"]


def test_prefetch_looks_only_at_the_first_steps_that_it_asks_for(store: Store) -> None:
    join(store)
    submit(store, "a", "b", "c", max_retries=0)
    submit(store, "d", max_retries=1)

    result = store.sync(SyncRequest("pod", "one", claim=3, claim_token="token", prefetch=3))

    assert (result.claimed, result.more) == ((), True)


def test_retried_step_on_its_last_try_is_not_prefetched(store: Store) -> None:
    held_step(store, "step", max_retries=1)
    acknowledge(store, Fail("step", "token", "Boom"))

    result = store.sync(SyncRequest("pod", "one", claim=2, claim_token="second", prefetch=2))

    assert (result.claimed, result.more) == ((), True)
    assert claim(store, 2) == ["step"]


def test_claim_reports_that_no_step_was_left(store: Store) -> None:
    join(store)
    submit(store, "a", "b")

    assert not store.sync(SyncRequest("pod", "one", claim=3, claim_token="token")).more


@pytest.mark.parametrize("letter", ["x", "ä", "語"])
def test_claim_is_limited_by_the_bytes_of_payloads(store: Store, letter: str) -> None:
    join(store)
    third = '"' + letter * (MAX_CLAIM_SIZE // 3 // len(letter.encode()) + 1) + '"'
    for number in range(4):
        store.submit([Submit(f"large{number}", third)])

    result = store.sync(SyncRequest("pod", "one", claim=4, claim_token="token"))

    assert ids(result.claimed) == ["large0", "large1"]
    assert result.more
    assert claim(store, 4) == ["large2", "large3"]


def test_claim_takes_a_step_whose_payload_alone_exceeds_the_limit(store: Store) -> None:
    join(store)
    store.submit([Submit("a", '"' + "x" * MAX_CLAIM_SIZE + '"')])
    submit(store, "b")

    assert claim(store, 2) == ["a"]
    assert claim(store, 2) == ["b"]
