"""Progress that functions report, which a sync records beside the log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from fleet_q.core.pod import SendHeartbeat
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.search import StepFilter
from fleet_q.core.step import Complete, Fail, Release

from .helpers import acknowledge, assert_sound, claim, facts, held_step, known

HALF = '{"fraction":0.5,"text":null}'


@pytest.fixture(autouse=True)
def _is_sound(store: Store) -> Iterator[None]:
    yield
    assert_sound(store)


def report(store: Store, token: str = "token", progress: str = HALF) -> None:
    """Send a heartbeat that takes the progress of the step along, and let the leader record it."""
    request = SyncRequest("pod", "one", SendHeartbeat("pod", "one"))
    store.sync(replace(request, progress=(("step", token, progress),)))
    store.fold_heartbeats()


def test_heartbeat_records_progress_and_changes_nothing_else_of_the_step(store: Store) -> None:
    held_step(store)
    before, log = known(store, "step"), facts(store, "step")
    report(store)
    assert known(store, "step") == replace(before, progress=HALF)
    assert facts(store, "step") == log


def test_later_progress_replaces_earlier(store: Store) -> None:
    held_step(store)
    report(store)
    report(store, progress='{"fraction":1.0,"text":"done"}')
    assert known(store, "step").progress == '{"fraction":1.0,"text":"done"}'


def test_progress_is_recorded_with_the_outcomes_of_other_steps(store: Store) -> None:
    held_step(store)
    held_step(store, "other", "second")
    request = SyncRequest("pod", "one", outcomes=(Complete("other", "second", "1"),))
    store.sync(replace(request, progress=(("step", "token", HALF),)))
    store.fold_heartbeats()
    assert known(store, "step").progress == HALF
    assert known(store, "other").status == "completed"


def test_progress_under_a_claim_that_has_ended_is_ignored(store: Store) -> None:
    held_step(store)
    acknowledge(store, Release("step", "token"))
    report(store)
    assert claim(store, token="again") == ["step"]
    report(store)
    assert known(store, "step").progress is None
    report(store, "again")
    assert known(store, "step").progress == HALF


def test_progress_is_kept_by_later_events(store: Store) -> None:
    held_step(store)
    report(store)
    acknowledge(store, Fail("step", "token", "Boom"))
    assert known(store, "step").progress == HALF
    claim(store, token="again")
    acknowledge(store, Complete("step", "again", "1"))
    assert known(store, "step").progress == HALF


def test_rebuild_leaves_progress_alone(store: Store) -> None:
    held_step(store)
    report(store)
    assert store.rebuild().equal
    assert known(store, "step").progress == HALF


def test_list_of_steps_shows_progress(store: Store) -> None:
    held_step(store)
    report(store)
    (step,) = store.list_steps(StepFilter(), 10).steps
    assert step.progress == HALF
