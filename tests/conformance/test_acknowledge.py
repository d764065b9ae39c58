"""Acknowledging: what an outcome does to a step, and that only the holder's counts."""

from __future__ import annotations

import pytest

from fleet_q.core.pod import SendHeartbeat
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.step import Complete, Fail, Outcome, Release

from .helpers import (
    acknowledge,
    claim,
    facts,
    held_step,
    join,
    known,
    orphaned_step,
    recover_all,
    snapshot_of,
    submit,
)

OUTCOMES: list[Outcome] = [
    Complete("step", "stale", "null"),
    Fail("step", "stale", "Boom"),
    Fail("step", "stale", "Boom", permanent=True),
    Release("step", "stale"),
]
every_outcome = pytest.mark.parametrize("stale", OUTCOMES, ids=repr)


def test_completed_step_keeps_its_result_and_its_holder(store: Store) -> None:
    held_step(store)

    assert acknowledge(store, Complete("step", "token", '{"rows":3}')).refused == ()

    step = known(store, "step")
    assert (step.status, step.result) == ("completed", '{"rows":3}')
    assert (step.claimed_by, step.incarnation, step.claim_token) == ("pod", "one", "token")


def test_failed_attempt_uses_one_try(store: Store) -> None:
    held_step(store, max_retries=1)

    acknowledge(store, Fail("step", "token", "Boom", "line 1"))

    step = known(store, "step")
    assert (step.status, step.retry_count) == ("pending", 1)
    assert (step.error, step.traceback) == ("Boom", "line 1")
    assert (step.claimed_by, step.incarnation, step.claim_token) == (None, None, None)


def test_success_clears_the_error_of_the_attempt_before(store: Store) -> None:
    held_step(store)
    acknowledge(store, Fail("step", "token", "Boom", "line 1"))
    claim(store, token="second")

    acknowledge(store, Complete("step", "second", "null"))

    step = known(store, "step")
    assert (step.error, step.traceback, step.retry_count) == (None, None, 1)


@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_step_fails_after_its_last_try(store: Store, max_retries: int) -> None:
    join(store)
    submit(store, "step", max_retries=max_retries)
    for attempt in range(max_retries + 1):
        assert claim(store, token=f"try {attempt}") == ["step"]
        acknowledge(store, Fail("step", f"try {attempt}", "Boom"))

    assert claim(store) == []
    step = known(store, "step")
    assert (step.status, step.retry_count) == ("failed", max_retries)
    assert facts(store, "step").count("claimed") == max_retries + 1


def test_permanent_failure_is_not_retried(store: Store) -> None:
    held_step(store, max_retries=5)

    acknowledge(store, Fail("step", "token", "Boom", permanent=True))

    assert known(store, "step").status == "failed"


def test_release_uses_no_try(store: Store) -> None:
    held_step(store, max_retries=0)

    acknowledge(store, Release("step", "token"))

    step = known(store, "step")
    assert (step.status, step.retry_count, step.claim_token) == ("pending", 0, None)
    assert claim(store, token="another") == ["step"]


def test_acknowledging_success_twice_is_no_error_and_no_event(store: Store) -> None:
    held_step(store)
    acknowledge(store, Complete("step", "token", "1"))

    assert acknowledge(store, Complete("step", "token", "2")).refused == ()

    assert known(store, "step").result == "1"
    assert facts(store, "step") == ["submitted", "claimed", "completed"]


def test_first_of_two_outcomes_in_one_sync_counts(store: Store) -> None:
    held_step(store)

    result = acknowledge(store, Fail("step", "token", "Boom"), Complete("step", "token", "null"))

    assert result.refused == ("step",)
    assert facts(store, "step") == ["submitted", "claimed", "retried"]


def test_refused_outcome_does_not_prevent_the_others(store: Store) -> None:
    held_step(store, "good")
    good, bad = Complete("good", "token", "null"), Complete("unknown", "token", "null")

    assert acknowledge(store, bad, good).refused == ("unknown",)

    assert known(store, "good").status == "completed"


@every_outcome
def test_an_outcome_under_another_token_changes_nothing(store: Store, stale: Outcome) -> None:
    held_step(store)
    before = snapshot_of(store)

    assert acknowledge(store, stale).refused == ("step",)

    assert snapshot_of(store) == before


@every_outcome
def test_a_late_outcome_of_a_recovered_claim_changes_nothing(store: Store, stale: Outcome) -> None:
    orphaned_step(store, token="stale")
    recover_all(store)
    assert acknowledge(store, stale).refused == ("step",)

    join(store, "other")
    assert claim(store, token="fresh", pod_id="other") == ["step"]
    before = snapshot_of(store)
    assert acknowledge(store, stale).refused == ("step",)

    assert snapshot_of(store) == before


@every_outcome
def test_an_outcome_of_a_step_that_another_completed_changes_nothing(
    store: Store, stale: Outcome
) -> None:
    held_step(store)
    acknowledge(store, Complete("step", "token", "null"))
    before = snapshot_of(store)

    assert acknowledge(store, stale).refused == ("step",)

    assert snapshot_of(store) == before


@every_outcome
def test_an_outcome_of_a_cancelled_step_changes_nothing(store: Store, stale: Outcome) -> None:
    held_step(store, token="stale")
    store.cancel("step")
    before = snapshot_of(store)

    assert acknowledge(store, stale).refused == ("step",)

    assert snapshot_of(store) == before


def test_orphan_can_be_completed_until_it_is_recovered(store: Store) -> None:
    orphaned_step(store)

    assert acknowledge(store, Complete("step", "token", "null")).refused == ()

    assert known(store, "step").status == "completed"
    assert recover_all(store) == []


def test_outcome_reported_by_another_pod_is_logged_as_reported_by_it(store: Store) -> None:
    """A claim is proven by its token alone."""
    held_step(store)
    join(store, "other", "two")

    answer = store.sync(
        SyncRequest(
            "other", "two", SendHeartbeat("other", "two"), (Complete("step", "token", "1"),)
        )
    )

    assert answer.refused == ()
    assert [event.pod_id for event in store.history("step")] == [None, "pod", "other"]
