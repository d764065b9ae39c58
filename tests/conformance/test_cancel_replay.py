"""Cancelling steps, and replaying them with all their tries."""

from __future__ import annotations

import pytest

from fleet_q.core.errors import IllegalTransition, UnknownStep
from fleet_q.core.ports import Store
from fleet_q.core.step import AT_ONCE, Fail

from .clock import SECOND, FakeClock
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


def test_a_pending_step_is_cancelled(store: Store) -> None:
    submit(store, "step")

    assert store.cancel("step", "pod") == known(store, "step")

    assert known(store, "step").status == "cancelled"
    assert store.history("step")[-1].pod_id == "pod"


def test_claimed_step_can_be_cancelled(store: Store) -> None:
    held_step(store)

    assert store.cancel("step").status == "cancelled"

    assert claim(store, token="another") == []


def test_cancelling_a_cancelled_step_changes_nothing(store: Store) -> None:
    submit(store, "step")
    first = store.cancel("step")

    assert store.cancel("step") == first


def test_completed_or_failed_step_cannot_be_cancelled(store: Store) -> None:
    completed_step(store, "completed")
    failed_step(store, "failed")
    before = snapshot_of(store)

    for step_id in ("completed", "failed"):
        with pytest.raises(
            IllegalTransition, match=f"step '{step_id}' is .* and cannot be cancelled"
        ):
            store.cancel(step_id)

    assert snapshot_of(store) == before


def test_an_unknown_step_cannot_be_cancelled(store: Store) -> None:
    with pytest.raises(UnknownStep):
        store.cancel("step")


def test_replayed_step_is_due_at_once_with_all_its_tries(store: Store, clock: FakeClock) -> None:
    held_step(store, max_retries=1)
    acknowledge(store, Fail("step", "token", "Boom", retry_delay=SECOND))
    clock.advance(1)
    claim(store, token="token")
    acknowledge(store, Fail("step", "token", "Boom", permanent=True))
    clock.advance(1)

    (step,) = store.replay(["step"], "pod")

    assert (step.status, step.retry_count, step.claim_token) == ("pending", 0, None)
    assert step.available_ts == AT_ONCE
    assert known(store, "step") == step
    assert claim(store, token="another") == ["step"]


def test_replay_of_a_cancelled_step_removes_its_delay(store: Store) -> None:
    submit(store, "step", delay=3600 * SECOND)
    store.cancel("step")
    store.replay(["step"])
    join(store)

    assert claim(store) == ["step"]


def test_replay_returns_steps_in_the_order_of_the_request(store: Store) -> None:
    for step_id in ("a", "b", "c"):
        failed_step(store, step_id)

    assert ids(store.replay(["c", "a", "b"])) == ["c", "a", "b"]
    assert store.replay([]) == []


@pytest.mark.parametrize(
    ("bad", "error"),
    [("unknown", UnknownStep), ("pending", IllegalTransition), ("failed", IllegalTransition)],
)
def test_replay_changes_all_steps_or_none(store: Store, bad: str, error: type[Exception]) -> None:
    """``failed`` is asked for twice: the second time it is pending."""
    failed_step(store, "failed")
    submit(store, "pending")
    before = snapshot_of(store)

    with pytest.raises(error):
        store.replay(["failed", bad])

    assert snapshot_of(store) == before


def test_a_completed_step_is_never_replayed(store: Store) -> None:
    completed_step(store, "step")

    with pytest.raises(IllegalTransition):
        store.replay(["step"])

    assert facts(store, "step") == ["submitted", "claimed", "completed"]
