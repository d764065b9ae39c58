"""Pruning deletes old final steps, and old pods, with their events; everything else stays."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec
import pytest

from fleet_q.core.errors import IncarnationEnded, UnknownStep
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.lifecycle import FINAL
from fleet_q.core.pod import Drain, Leave, SendHeartbeat, Sleep
from fleet_q.core.ports import FinalStep, FinalStepPage, Pruned, Store, SyncRequest
from fleet_q.core.pruning import PRUNED_BY_DEFAULT, PruneStats, prune_cycle
from fleet_q.core.step import Complete

from .clock import SECOND, FakeClock
from .helpers import (
    acknowledge,
    call_by_call,
    claim,
    completed_step,
    facts,
    failed_step,
    held_step,
    join,
    known,
    silent,
    snapshot_of,
    submit,
)

DAY = 86_400


@pytest.fixture
def populated(store: Store, clock: FakeClock) -> None:
    """Old and new steps of every status; the old ones became final a day before the new ones."""
    submit(store, "old delayed", delay=10 * DAY * SECOND)
    held_step(store, "held", max_retries=1)
    for age in ("old", "new"):
        clock.advance(DAY)
        completed_step(store, f"{age} completed")
        failed_step(store, f"{age} failed")
        submit(store, f"{age} cancelled")
        store.cancel(f"{age} cancelled")


def prune(store: Store, older_than: float, **options: Any) -> PruneStats:
    stats = PruneStats()
    for _ in call_by_call(
        store,
        prune_cycle(
            older_than=round(older_than * SECOND),
            prune_batch=store.traits.prune_batch,
            stats=stats,
            **options,
        ),
    ):
        pass
    return stats


def final_steps(store: Store, before: int, limit: int = 100) -> list[FinalStep]:
    """The final steps of all pages."""
    page = FinalStepPage((), "")
    steps: list[FinalStep] = []
    while page.after is not None:
        page = store.final_steps(FINAL, before, limit, page.after)
        assert len(page.steps) <= limit
        steps += page.steps
    return steps


@pytest.mark.usefixtures("populated")
def test_prune_deletes_old_steps_and_their_events_and_dead_letters_only_on_request(
    store: Store, clock: FakeClock
) -> None:
    assert prune(store, DAY) == PruneStats(steps=2, step_events=5)

    left = {"held", "old delayed", "old failed", "new completed", "new failed", "new cancelled"}
    assert {event.stream for event in store.step_events()} == left
    assert store.step("old completed") is None
    assert store.history("old completed") == []
    assert store.counts() == {
        "pending": 1, "waiting": 0, "claimed": 1, "completed": 1, "failed": 2, "cancelled": 1
    }  # fmt: skip
    assert prune(store, DAY) == PruneStats()

    assert prune(store, DAY, statuses=FINAL) == PruneStats(steps=1, step_events=3)
    assert store.step("old failed") is None
    clock.advance(100 * DAY)
    assert prune(store, DAY, statuses=FINAL).steps == 3
    assert {event.stream for event in store.step_events()} == {"held", "old delayed"}


@pytest.mark.usefixtures("populated")
def test_dry_run_counts_and_changes_nothing(store: Store) -> None:
    before = snapshot_of(store)
    would = prune(store, DAY, dry_run=True, statuses=FINAL)
    assert would == PruneStats(steps=3, step_events=8)
    assert snapshot_of(store) == before
    assert prune(store, DAY, statuses=FINAL) == would


@pytest.mark.usefixtures("populated")
def test_remaining_steps_can_be_claimed_and_completed_after_a_prune(
    store: Store, clock: FakeClock
) -> None:
    prune(store, 0, statuses=FINAL)
    clock.advance(10 * DAY)
    assert claim(store) == ["old delayed"]
    acknowledge(store, Complete("held", "token", "1"))
    assert known(store, "held").result == "1"


def test_age_of_a_final_step_counts_from_its_end(store: Store, clock: FakeClock) -> None:
    join(store)
    submit(store, "step")
    clock.advance(DAY)
    claim(store, token="token")
    acknowledge(store, Complete("step", "token", "1"))
    end = clock()
    clock.advance(1)
    assert prune(store, 1.000001).steps == 0
    assert final_steps(store, end - 1) == []
    assert final_steps(store, end) == [FinalStep("step", 3)]
    assert prune(store, 1).steps == 1


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_pages_list_each_final_step_once(store: Store, clock: FakeClock, limit: int) -> None:
    submit(store, *(f"waiting {number}" for number in range(4)), delay=DAY * SECOND)
    submit(store, *(f"step {number}" for number in range(7)), max_retries=0)
    for number in range(7):
        store.cancel(f"step {number}")
    steps = final_steps(store, clock(), limit)
    assert sorted(step.step_id for step in steps) == [f"step {number}" for number in range(7)]
    assert len(steps) == 7


def test_step_replayed_after_it_was_found_is_not_pruned(store: Store, clock: FakeClock) -> None:
    failed_step(store, "replayed")
    failed_step(store, "still failed")
    completed_step(store, "completed")
    before = clock()
    steps = final_steps(store, before)
    store.replay(["replayed"])

    assert store.prune(steps, before) == Pruned(2, 6)

    assert facts(store, "replayed") == ["submitted", "claimed", "failed", "replayed"]
    assert store.counts()["pending"] == 1
    assert store.prune(steps, before) == Pruned(0, 0)


def test_new_step_under_the_id_of_a_pruned_one_is_not_pruned(
    store: Store, clock: FakeClock
) -> None:
    completed_step(store, "step")
    before = clock()
    steps = final_steps(store, before)
    store.prune(steps, before)
    acknowledge(store, Complete("step", "step", "null"))
    with pytest.raises(UnknownStep):
        store.cancel("step")
    clock.advance(1)

    held_step(store, "step", token="another", priority=7)
    acknowledge(store, Complete("step", "another", "2"))

    assert store.prune(steps, before) == Pruned(0, 0)
    assert (known(store, "step").version, known(store, "step").result) == (3, "2")


def test_late_outcome_of_a_pruned_step_is_refused(store: Store) -> None:
    completed_step(store, "step")
    prune(store, 0)
    result = acknowledge(store, Complete("step", "step", "null"))
    assert result.refused == ("step",)


def test_prune_deletes_pods_that_are_down_or_asleep_for_long(
    store: Store, clock: FakeClock
) -> None:
    for pod_id in ("left", "died", "asleep", "draining", "up"):
        join(store, pod_id)
    store.sync(SyncRequest("left", "one", Leave("left", "one")))
    store.sync(SyncRequest("asleep", "one", Sleep("asleep", "one")))
    clock.advance(60)
    store.sync(SyncRequest("up", "one", SendHeartbeat("up", "one")))
    store.sync(SyncRequest("draining", "one", SendHeartbeat("draining", "one")))
    store.declare_dead(silent(store, 60))
    clock.advance(DAY - 60)
    assert prune(store, DAY + 1) == PruneStats()

    would = prune(store, DAY, dry_run=True)
    assert prune(store, DAY) == would == PruneStats(pods=3, pod_events=6)

    assert [pod.pod_id for pod in store.pods().pods] == ["draining", "up"]
    with pytest.raises(IncarnationEnded) as error:
        store.sync(SyncRequest("asleep", "one", SendHeartbeat("asleep", "one")))
    assert not error.value.superseded, "it would not join again"
    join(store, "asleep", "two")
    assert [pod.version for pod in store.pods().pods] == [1, 1, 1]


def test_pod_that_joined_again_after_it_was_found_is_not_pruned(
    store: Store, clock: FakeClock
) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    (observed,) = store.pods().pods
    assert prune(store, 0).pods == 1
    clock.advance(1)
    join(store, "pod", "two")
    store.sync(SyncRequest("pod", "two", Drain("pod", "two")))
    (draining,) = store.pods().pods
    assert draining.version == observed.version
    assert store.prune_pod(observed) == Pruned(0, 0)


def test_pod_that_woke_after_it_was_found_is_not_pruned(store: Store) -> None:
    join(store)
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    (asleep,) = store.pods().pods
    store.sync(SyncRequest("pod", "one", SendHeartbeat("pod", "one")))
    assert store.prune_pod(asleep) == Pruned(0, 0)
    assert [event.fact.type for event in store.pod_history("pod")] == [
        "joined", "slept", "woke"
    ]  # fmt: skip


@pytest.mark.usefixtures("populated")
def test_archive_gets_every_event_before_it_is_deleted(store: Store, clock: FakeClock) -> None:
    join(store, "gone")
    store.sync(SyncRequest("gone", "one", Leave("gone", "one")))
    clock.advance(DAY)
    log = {(event.stream, event.version): event for event in store.step_events()}
    pod_log = list(store.pod_history("gone"))
    kept: list[StepEvent | PodEvent] = []

    def archive(events: Iterable[StepEvent] | Iterable[PodEvent]) -> None:
        for event in events:
            here = store.pod_history if event.fact.type in ("joined", "left") else store.history
            assert event in list(here(event.stream))
            kept.append(event)

    stats = prune(store, DAY, statuses=FINAL, archive=archive)

    left = {(event.stream, event.version) for event in store.step_events()}
    assert len(kept) == stats.step_events + stats.pod_events
    assert kept == [log[key] for key in sorted(set(log) - left)] + pod_log


@pytest.mark.usefixtures("populated")
def test_nothing_is_pruned_if_archiving_fails(store: Store) -> None:
    before = snapshot_of(store)

    def archive(events: object) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        prune(store, 0, archive=archive)
    assert snapshot_of(store) == before


def test_pod_that_is_not_the_leader_prunes_nothing(store: Store, clock: FakeClock) -> None:
    join(store, "leader")
    clock.advance(1)
    join(store, "other")
    submit(store, "step")
    store.cancel("step")
    assert prune(store, 0, by="other", dead_after=60 * SECOND) == PruneStats()
    assert prune(store, 0, by="leader", dead_after=60 * SECOND).steps == 1


def test_change_counter_never_repeats_across_a_prune(
    clients: list[Store], clock: FakeClock
) -> None:
    """Also if as many events are appended as deleted, at the same time."""
    here, there = clients[:2]
    submit(there, "one", "two")
    counters = [here.change_counter()]
    for round in range(3):
        there.cancel("one")
        counters.append(here.change_counter())
        assert prune(there, 0, statuses=PRUNED_BY_DEFAULT) == PruneStats(steps=1, step_events=2)
        submit(there, "one", delay=round)
        there.cancel("two")
        counters.append(here.change_counter())
        assert prune(there, 0).steps == 1
        submit(there, "two")
        counters.append(here.change_counter())
    assert len(set(counters)) == len(counters)


def test_prune_does_not_change_the_counter_where_writes_are_billed(clients: list[Store]) -> None:
    here, there = clients[:2]
    if not here.traits.writes_are_billed:
        pytest.skip("pods do not sleep on this store")
    submit(there, "one", "two", "three")
    for step_id in ("one", "two"):
        there.cancel(step_id)
        counter = here.change_counter()
        assert prune(there, 0).steps == 1
        assert here.change_counter() == counter


@pytest.mark.usefixtures("populated")
def test_remaining_steps_can_be_rebuilt_after_a_prune(store: Store) -> None:
    prune(store, DAY)
    before = snapshot_of(store)
    assert store.rebuild().equal
    assert snapshot_of(store) == before
    assert prune(store, 0).steps == 2


@pytest.mark.usefixtures("populated")
def test_interrupted_prune_can_be_repeated(store: Store) -> None:
    whole = prune(store, 0, dry_run=True)
    stats = PruneStats()
    for calls in (1, 2, 3, 4):
        program = prune_cycle(older_than=0, prune_batch=1, stats=stats)
        for _ in islice(call_by_call(store, program), calls):
            pass
    assert stats.steps < whole.steps
    assert store.rebuild(check=True).equal
    rest = prune(store, 0)
    assert msgspec.structs.astuple(whole) == tuple(
        one + other
        for one, other in zip(
            msgspec.structs.astuple(stats), msgspec.structs.astuple(rest), strict=True
        )
    )
