"""The limits of queues and their history, without claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet_q.core.ports import Store
from fleet_q.core.queues import Queue, QueueChange, fold_queue
from fleet_q.core.rate import Rate

from .clock import SECOND, FakeClock
from .helpers import at_once
from .stores import StoreKind


def test_queue_without_changes_has_no_row(store: Store) -> None:
    assert store.queues() == []
    assert store.queue_history("q") == []


def test_limits_are_kept_with_their_history(store: Store, clock: FakeClock) -> None:
    first = store.set_queue("q", QueueChange(max_running=3, rate=Rate(5, SECOND)), "ann")
    began = clock()
    clock.advance(1)
    store.set_queue("q", QueueChange(paused=True), None)
    store.set_queue("q", QueueChange(paused=False, max_running_per_key=1, max_running=None), "bob")
    (queue,) = store.queues()
    assert first == Queue("q", 3, None, 5, SECOND, False, 5 * SECOND, began, 1, began)
    assert queue == Queue("q", None, 1, 5, SECOND, False, 5 * SECOND, began, 3, clock())
    history = store.queue_history("q")
    assert [(event.type, event.changed_by) for event in history] == [
        ("created", "ann"),
        ("paused", None),
        ("changed", "bob"),
    ]
    assert [event.event_ts for event in history] == [began, clock(), clock()]
    assert fold_queue(history) == queue


def test_queues_are_ordered_by_name(store: Store) -> None:
    for name in ("b", "é/ ?", "a", "B"):
        store.set_queue(name, QueueChange(paused=True))
    assert [queue.queue for queue in store.queues()] == sorted(("b", "é/ ?", "a", "B"))


def test_change_to_the_same_limits_is_not_recorded(store: Store) -> None:
    change = QueueChange(max_running=3, rate=Rate(5, SECOND))
    assert store.set_queue("q", change) == store.set_queue("q", change)
    assert store.set_queue("none", QueueChange(paused=False)) == Queue("none")
    assert len(store.queue_history("q")) == 1
    assert [queue.queue for queue in store.queues()] == ["q"]


def test_new_rate_begins_with_all_its_tokens(store: Store, clock: FakeClock) -> None:
    store.set_queue("q", QueueChange(rate=Rate(5, SECOND)))
    clock.advance(1)
    queue = store.set_queue("q", QueueChange(rate=Rate(2, 3 * SECOND)))
    assert (queue.tokens, queue.refilled_ts) == (2 * 3 * SECOND, clock())
    queue = store.set_queue("q", QueueChange(rate=None))
    assert (queue.rate, queue.rate_count, queue.tokens) == (None, None, 0)


def test_change_of_limits_moves_the_change_counter(store: Store, kind: StoreKind) -> None:
    if kind.name == "sqlite":
        return  # its counter counts changes by other connections
    before = store.change_counter()
    store.set_queue("q", QueueChange(paused=True))
    changed = store.change_counter()
    store.set_queue("q", QueueChange(paused=True))
    assert before != changed == store.change_counter()


def test_changes_at_the_same_moment_are_one_after_another(store: Store) -> None:
    limits = range(1, 9)
    at_once(lambda limit: store.set_queue("q", QueueChange(max_running=limit)), limits)
    history = store.queue_history("q")
    assert [event.version for event in history] == list(range(1, 9))
    assert sorted(event.max_running or 0 for event in history) == list(limits)
    assert [queue.max_running for queue in store.queues()] == [history[-1].max_running]


def test_log_of_steps_is_sound_after_a_change_of_limits(store: Store) -> None:
    store.set_queue("q", QueueChange(paused=True))
    assert list(store.step_events()) == []
    assert store.rebuild(check=True).equal


@pytest.mark.parametrize("spoil", ["UPDATE queues SET max_running = 99", "DELETE FROM queues"])
def test_rebuild_corrects_the_limits_by_their_history(
    store: Store, kind: StoreKind, tmp_path: Path, spoil: str
) -> None:
    if kind.execute is None:
        return
    before = [store.set_queue(name, QueueChange(max_running=3, paused=True)) for name in "ab"]
    kind.execute(tmp_path, store, spoil)
    assert store.queues() != before
    assert store.rebuild(check=True).differing_queues == ("a", "b")
    assert store.rebuild().differing_queues == ("a", "b")
    assert store.queues() == before
    assert store.rebuild(check=True).equal
