"""Checkpoints: who may save one, and how long it is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet_q.core.errors import StaleClaim
from fleet_q.core.ports import Store
from fleet_q.core.step import Complete, Fail, Outcome, Release, SaveCheckpoint, Snooze, Submit

from .helpers import (
    acknowledge,
    assert_sound,
    claim,
    facts,
    held_step,
    join,
    known,
    recover_all,
    snapshot_of,
)


@pytest.fixture(autouse=True)
def _is_sound(store: Store) -> Iterator[None]:
    yield
    assert_sound(store)


def save(store: Store, saved: int, token: str = "token", version: int | None = None) -> None:
    if version is None:
        version = known(store, "step").version
    store.save_checkpoint(SaveCheckpoint("step", token, f'{{"saved":{saved}}}', version), "pod")


def saved(store: Store) -> str | None:
    return known(store, "step").checkpoint


def test_checkpoint_of_a_claimed_step_is_stored(store: Store) -> None:
    held_step(store)
    save(store, 1)
    save(store, 2)
    assert saved(store) == '{"saved":2}'
    assert facts(store, "step") == ["submitted", "claimed", "checkpointed", "checkpointed"]
    assert store.history("step")[-1].pod_id == "pod"
    step = known(store, "step")
    assert (step.status, step.claimed_by, step.claim_token) == ("claimed", "pod", "token")


def test_checkpoint_is_kept_by_retries_releases_snoozes_and_recovery(store: Store) -> None:
    held_step(store)
    save(store, 1)
    outcomes: list[Outcome] = [
        Fail("step", "token", "Boom"),
        Release("step", "2"),
        Snooze("step", "3"),
    ]
    for number, outcome in enumerate(outcomes, start=2):
        acknowledge(store, outcome)
        assert claim(store, token=str(number)) == ["step"]
        assert saved(store) == '{"saved":1}'
    join(store, incarnation="two")
    recover_all(store)
    assert saved(store) == '{"saved":1}'


def test_claimed_step_has_its_checkpoint(store: Store) -> None:
    held_step(store)
    save(store, 1)
    acknowledge(store, Release("step", "token"))
    assert claim(store, token="again") == ["step"]
    save(store, 2, "again")
    acknowledge(store, Complete("step", "again", "1"))
    assert (known(store, "step").status, saved(store)) == ("completed", '{"saved":2}')


def test_replayed_step_goes_on_where_it_was(store: Store) -> None:
    held_step(store)
    save(store, 1)
    acknowledge(store, Fail("step", "token", "Boom", permanent=True))
    store.replay(["step"])
    assert saved(store) == '{"saved":1}'


def test_step_that_a_submission_replaces_has_no_checkpoint(store: Store) -> None:
    held_step(store, unique_key="key")
    save(store, 1)
    acknowledge(store, Release("step", "token"))
    store.submit([Submit("later", "[1]", unique_key="key", on_conflict="replace")])
    assert (known(store, "step").payload, saved(store)) == ("[1]", None)


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "claimed again"])
def test_checkpoint_under_a_claim_that_has_ended_is_rejected(store: Store, end: str) -> None:
    held_step(store)
    save(store, 1)
    if end == "completed":
        acknowledge(store, Complete("step", "token", "1"))
    elif end == "failed":
        acknowledge(store, Fail("step", "token", "Boom", permanent=True))
    elif end == "cancelled":
        store.cancel("step")
    else:
        join(store, incarnation="two")
        recover_all(store)
        claim(store, token="another", incarnation="two")
    before = snapshot_of(store)
    with pytest.raises(StaleClaim):
        save(store, 2)
    assert snapshot_of(store) == before


def test_checkpoint_of_an_unknown_step_is_rejected(store: Store) -> None:
    with pytest.raises(StaleClaim):
        store.save_checkpoint(SaveCheckpoint("step", "token", "{}", 1))


def test_call_that_saved_a_checkpoint_may_be_repeated(store: Store) -> None:
    held_step(store)
    for _ in range(2):
        save(store, 1, version=2)
    assert facts(store, "step") == ["submitted", "claimed", "checkpointed"]


def test_call_that_is_carried_out_late_does_not_replace_a_later_checkpoint(store: Store) -> None:
    held_step(store)
    save(store, 1, version=2)
    save(store, 2, version=3)
    before = snapshot_of(store)
    for late in (1, 3):
        with pytest.raises(StaleClaim):
            save(store, late, version=2)
    assert snapshot_of(store) == before
