"""Claiming: what a pod gets, in which order, and who may claim at all."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.pod import Leave
from fleet_q.core.ports import Store, Turn

from .clock import FakeClock
from .helpers import (
    acknowledge,
    claim,
    completed_step,
    facts,
    failed_step,
    held_step,
    join,
    known,
    picture,
    submit,
)


def test_a_claim_gives_the_step_to_the_pod(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "step")
    before = known(store, "step")
    clock.advance(1)

    answer = store.turn(Turn("pod", "one", claim=5, claim_token="token"))

    expected = replace(
        before,
        status="claimed",
        claimed_by="pod",
        incarnation="one",
        claim_token="token",
        last_update_ts=clock(),
        version=2,
    )
    assert answer.claimed == (expected,)
    assert answer.at == clock()
    assert store.step("step") == expected


def test_a_claim_goes_by_priority_then_age_then_id(store: Store, clock: FakeClock) -> None:
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


def test_a_claim_takes_no_more_than_asked(store: Store) -> None:
    submit(store, "a", "b", "c")
    join(store)

    assert claim(store, 2) == ["a", "b"]
    assert store.counts()["pending"] == 1


def test_what_is_held_or_over_is_not_claimed(store: Store) -> None:
    held_step(store, "held")
    completed_step(store, "completed")
    failed_step(store, "failed")
    submit(store, "cancelled")
    store.cancel("cancelled")

    assert claim(store, 9, "another") == []


def test_a_turn_without_a_claim_takes_nothing(store: Store) -> None:
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
    store.turn(Turn("left", "one", Leave("left", "one")))
    join(store, "pod", "one")
    join(store, "pod", "two")
    submit(store, "step")
    before = picture(store)

    with pytest.raises(IncarnationEnded) as refusal:
        claim(store, pod_id=pod_id, incarnation=incarnation)

    assert refusal.value.superseded is superseded
    assert picture(store) == before
