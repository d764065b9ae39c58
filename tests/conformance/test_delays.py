"""Delays, and clocks that are set back."""

from __future__ import annotations

import pytest

from fleet_q.core.pod import SendHeartbeat
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.step import Fail, Release, Reprioritize

from .clock import SECOND, FakeClock
from .helpers import (
    acknowledge,
    claim,
    facts,
    held_step,
    ids,
    join,
    known,
    recover_all,
    submit,
)
from .stores import StoreKind


def next_due(store: Store) -> int | None:
    return store.sync(SyncRequest("pod", "one", claim=1, claim_token="token of next_due")).next_due


def test_delayed_step_is_claimable_when_it_is_due(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "step", delay=SECOND)

    clock.advance(0.999_999)
    assert claim(store) == []
    clock.advance(0.000_001)
    assert claim(store) == ["step"]


def test_a_step_keeps_its_place_in_the_queue_while_it_waits(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "old", delay=2 * SECOND)
    submit(store, "urgent", delay=2 * SECOND, priority=1)
    clock.advance(1)
    submit(store, "young")
    clock.advance(1)

    assert claim(store, 3) == ["urgent", "old", "young"]


def test_a_failed_attempt_waits_for_its_backoff(store: Store, clock: FakeClock) -> None:
    held_step(store)
    acknowledge(store, Fail("step", "token", "Boom", retry_delay=3 * SECOND))

    assert known(store, "step").available_ts == clock() + 3 * SECOND
    clock.advance(2.999_999)
    assert claim(store) == []
    clock.advance(0.000_001)
    assert claim(store) == ["step"]


def test_claim_returns_when_the_next_step_is_due(store: Store, clock: FakeClock) -> None:
    join(store)
    assert next_due(store) is None

    begin = clock()
    submit(store, "later", delay=9 * SECOND)
    submit(store, "sooner", delay=2 * SECOND)
    assert next_due(store) == begin + 2 * SECOND
    clock.advance(2)
    assert next_due(store) == begin + 9 * SECOND


def test_next_due_excludes_steps_that_are_already_due(store: Store, clock: FakeClock) -> None:
    held_step(store)
    submit(store, "due", delay=SECOND)
    submit(store, "not due", delay=5 * SECOND)
    clock.advance(2)

    acknowledge(store, Release("step", "token"))

    assert next_due(store) == clock() + 3 * SECOND


def test_step_released_with_a_delay_is_claimable_after_it(store: Store, clock: FakeClock) -> None:
    held_step(store, max_retries=0)

    acknowledge(store, Release("step", "token", retry_delay=3 * SECOND))

    assert next_due(store) == clock() + 3 * SECOND
    assert claim(store) == []
    clock.advance(3)
    assert claim(store) == ["step"]
    assert known(store, "step").retry_count == 0


def test_delayed_step_waits_again_after_the_clock_was_set_back(
    store: Store, clock: FakeClock
) -> None:
    join(store)
    submit(store, "step", delay=5 * SECOND)
    submit(store, "urgent", priority=1)
    clock.advance(5)
    assert claim(store, token="makes both due, claims one") == ["urgent"]

    clock.step(-1)
    assert claim(store) == []
    clock.advance(1)
    assert claim(store) == ["step"]


def test_step_that_was_due_when_it_was_reprioritized_stays_due_after_the_clock_was_set_back(
    store: Store, clock: FakeClock
) -> None:
    join(store)
    submit(store, "step", delay=5 * SECOND)
    clock.advance(5)
    assert store.change_allowed([Reprioritize("step", 1)]) == ["step"]

    clock.step(-5)

    assert store.backlog().claimable == 1
    assert claim(store) == ["step"]


def test_next_due_after_the_clock_was_set_back_is_missing_or_correct(
    store: Store, clock: FakeClock
) -> None:
    join(store)
    submit(store, "step", delay=5 * SECOND)
    submit(store, "urgent", priority=1)
    clock.advance(5)
    claim(store, token="makes both due, claims one")

    clock.step(-1)

    assert next_due(store) in (None, clock() + SECOND)


def test_step_released_after_the_clock_was_set_back_is_claimable(
    store: Store, clock: FakeClock
) -> None:
    submit(store, "step", delay=5 * SECOND)
    join(store)
    clock.advance(5)
    claim(store, token="token")
    clock.step(-60)

    acknowledge(store, Release("step", "token"))

    assert known(store, "step").last_update_ts == clock()
    assert claim(store) == ["step"]
    assert facts(store, "step") == ["submitted", "claimed", "released", "claimed"]


def test_retry_is_claimable_at_once_after_the_clock_was_set_back(
    kind: StoreKind, store: Store, clock: FakeClock
) -> None:
    held_step(store)
    acknowledge(store, Fail("step", "token", "Boom", retry_delay=3 * SECOND))

    clock.step(-1 - kind.longest_wait)

    assert claim(store) == ["step"]


@pytest.mark.parametrize("seconds", [-3_600, -(10**9), 3_600])
def test_a_step_without_a_delay_is_claimable_whatever_the_clock_does(
    store: Store, clock: FakeClock, seconds: float
) -> None:
    join(store)
    submit(store, "step")

    clock.step(seconds)

    assert claim(store) == ["step"]


@pytest.mark.parametrize(
    "outcome",
    [Release("step", "token"), Fail("step", "token", "Boom")],
    ids=["released", "failed without a backoff"],
)
def test_step_released_before_the_clock_was_set_back_is_claimable(
    store: Store, clock: FakeClock, outcome: Release | Fail
) -> None:
    held_step(store)
    acknowledge(store, outcome)

    clock.step(-3_600)

    assert claim(store) == ["step"]


@pytest.mark.parametrize("delay", [0, 5 * SECOND])
def test_step_replayed_or_recovered_while_the_clock_is_set_back_is_claimable(
    store: Store, clock: FakeClock, delay: int
) -> None:
    join(store)
    submit(store, "replayed", "recovered", "replayed after", delay=delay)
    clock.advance(5)
    assert len(claim(store, 3)) == 3
    store.cancel("replayed")
    store.cancel("replayed after")
    store.replay(["replayed"])
    join(store, incarnation="two")
    clock.step(-3_600)

    recover_all(store)
    store.replay(["replayed after"])

    names = {"replayed", "recovered", "replayed after"}
    assert set(claim(store, 9, incarnation="two")) == names


@pytest.mark.parametrize("past", [0, 30], ids=["right after its claim", "later"])
def test_retry_is_due_if_the_clock_was_set_to_before_the_failure(
    kind: StoreKind, store: Store, clock: FakeClock, past: int
) -> None:
    held_step(store)
    clock.advance(past)
    acknowledge(store, Fail("step", "token", "Boom", retry_delay=20 * SECOND))

    clock.step(-10 - kind.longest_wait)
    # The store notices the new time at the next heartbeat at the latest.
    store.sync(SyncRequest("pod", "one", SendHeartbeat("pod", "one")))

    assert claim_if_claimable(store) == ["step"]


def test_delay_is_observed_although_the_clock_was_set_back(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "step", delay=5 * SECOND)
    clock.step(-60)
    store.sync(SyncRequest("pod", "one", SendHeartbeat("pod", "one")))

    assert claim(store) == []
    clock.advance(64.9)
    assert claim(store) == []
    clock.advance(0.1)
    assert claim(store) == ["step"]


def claim_if_claimable(store: Store) -> list[str]:
    """Claim as an idle pod does: only if a step is claimable."""
    heartbeat = SendHeartbeat("pod", "one")
    request = SyncRequest(
        "pod",
        "one",
        heartbeat,
        claim=1,
        claim_token="token of claim_if_claimable",
        only_if_claimable=True,
    )
    return ids(store.sync(request).claimed)
