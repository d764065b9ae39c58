"""Several operators replay all dead letters at once."""

from __future__ import annotations

import pytest

from fleet_q.core.ports import Store
from fleet_q.core.step import Fail
from fleet_q.services.app import bulk
from fleet_q.services.app.bulk import replay_all

from .helpers import acknowledge, at_once, claim, facts, join, submit

STEPS = [f"step-{number:02}" for number in range(12)]


@pytest.fixture(autouse=True)
def dead_letters(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "SUBMIT_BATCH", 5)
    join(store)
    submit(store, *STEPS)
    assert len(claim(store, len(STEPS), "token")) == len(STEPS)
    acknowledge(store, *(Fail(step_id, "token", "Boom", permanent=True) for step_id in STEPS))


def test_concurrent_replays_succeed_and_replay_each_dead_letter_once(
    store: Store, clients: list[Store]
) -> None:
    counts = at_once(lambda client: replay_all(client, lambda count: None), clients)

    assert sum(counts) == len(STEPS)
    for step_id in STEPS:
        assert facts(store, step_id).count("replayed") == 1


def test_dead_letter_that_another_replays_meanwhile_is_skipped(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay, replayed = store.replay, ["step-03"]

    def after_another(step_ids: list[str], pod_id: str | None = None) -> object:
        while replayed:
            replay([replayed.pop()])
        return replay(step_ids, pod_id)

    monkeypatch.setattr(store, "replay", after_another)
    counts: list[int] = []

    assert replay_all(store, counts.append) == len(STEPS) - 1
    assert sum(counts) == len(STEPS) - 1
    assert store.counts()["pending"] == len(STEPS)


def test_step_that_fails_again_meanwhile_is_not_replayed_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = store.replay

    def and_fail(step_ids: list[str], pod_id: str | None = None) -> object:
        replayed = replay(step_ids, pod_id)
        for step_id in claim(store, len(STEPS), "again"):
            acknowledge(store, Fail(step_id, "again", "Boom", permanent=True))
        return replayed

    monkeypatch.setattr(store, "replay", and_fail)

    assert replay_all(store, lambda count: None) == len(STEPS)
