"""How many steps wait, how many are held, and when the next one becomes due."""

from __future__ import annotations

from fleet_q.core.ports import Backlog, Store
from fleet_q.core.queues import QueueChange
from fleet_q.core.rate import Rate
from fleet_q.core.step import Fail

from .clock import SECOND, FakeClock
from .helpers import acknowledge, claim, completed_step, failed_step, held_step, join, submit


def test_empty_store_has_no_backlog(store: Store, clock: FakeClock) -> None:
    assert store.backlog() == Backlog(clock(), 0, 0, 0, None, None)


def test_final_steps_are_not_in_the_backlog(store: Store) -> None:
    completed_step(store, "completed")
    failed_step(store, "failed")
    submit(store, "cancelled")
    store.cancel("cancelled")
    backlog = store.backlog()
    assert (backlog.pending, backlog.claimable, backlog.claimed) == (0, 0, 0)
    assert (backlog.oldest, backlog.next_due) == (None, None)


def test_backlog_counts_pending_claimable_and_claimed_steps(store: Store, clock: FakeClock) -> None:
    held_step(store, "held")
    submit(store, "first")
    submitted = clock()
    clock.advance(5)
    submit(store, "second")
    submit(store, "later", delay=60 * SECOND)
    submit(store, "soon", delay=10 * SECOND)
    due = clock() + 10 * SECOND
    assert store.backlog() == Backlog(clock(), 4, 2, 1, submitted, due)


def test_delayed_step_is_as_old_as_the_time_since_it_became_due(
    store: Store, clock: FakeClock
) -> None:
    submit(store, "delayed", delay=10 * SECOND)
    due = clock() + 10 * SECOND
    clock.advance(15)
    assert store.backlog() == Backlog(clock(), 1, 1, 0, due, None)


def test_retry_is_in_the_backlog_from_its_failure_on(store: Store, clock: FakeClock) -> None:
    held_step(store, "step", max_retries=3)
    acknowledge(store, Fail("step", "token", "Boom", retry_delay=20 * SECOND))
    due = clock() + 20 * SECOND
    assert store.backlog() == Backlog(clock(), 1, 0, 0, None, due)
    clock.advance(20)
    assert store.backlog() == Backlog(clock(), 1, 1, 0, due, None)


def test_steps_of_a_paused_queue_are_pending_but_not_claimable(
    store: Store, clock: FakeClock
) -> None:
    submit(store, "paused", queue="q")
    submit(store, "paused and delayed", queue="q", delay=10 * SECOND)
    clock.advance(5)
    submit(store, "other", queue="r")
    store.set_queue("q", QueueChange(paused=True))
    store.set_queue("s", QueueChange(paused=True))
    assert store.backlog() == Backlog(clock(), 3, 1, 0, clock(), None)
    store.set_queue("q", QueueChange(paused=False))
    begin, due = clock() - 5 * SECOND, clock() + 5 * SECOND
    assert store.backlog() == Backlog(clock(), 3, 2, 0, begin, due)


def test_no_more_steps_are_claimable_than_a_queue_has_room_for(
    store: Store, clock: FakeClock
) -> None:
    store.set_queue("q", QueueChange(max_running=3))
    submit(store, *(f"step {n}" for n in range(10)), queue="q")
    submitted = clock()
    assert store.backlog() == Backlog(clock(), 10, 3, 0, submitted, None)
    join(store)
    claim(store, 2)
    assert store.backlog() == Backlog(clock(), 8, 1, 2, submitted, None)
    claim(store, 2)
    assert store.backlog() == Backlog(clock(), 7, 0, 3, None, None)


def test_no_more_steps_are_claimable_than_their_keys_have_room_for(
    store: Store, clock: FakeClock
) -> None:
    store.set_queue("q", QueueChange(max_running_per_key=1))
    submit(store, "held", queue="q", key="a", priority=1)
    submit(store, *(f"a {n}" for n in range(5)), queue="q", key="a")
    clock.advance(1)
    submit(store, *(f"b {n}" for n in range(5)), queue="q", key="b")
    submit(store, "without 1", "without 2", queue="q")
    submitted = clock()
    join(store)
    claim(store)
    assert store.backlog() == Backlog(clock(), 12, 3, 1, submitted, None)


def test_no_more_steps_are_claimable_than_there_are_tokens(store: Store, clock: FakeClock) -> None:
    store.set_queue("q", QueueChange(rate=Rate(2, 10 * SECOND)))
    submit(store, *(f"step {n}" for n in range(5)), queue="q")
    assert store.backlog().claimable == 2
    join(store)
    claim(store, 5)
    backlog = store.backlog()
    assert (backlog.claimable, backlog.oldest) == (0, None)
    assert backlog.next_due == clock() + 5 * SECOND
    clock.advance(5)
    backlog = store.backlog()
    assert (backlog.claimable, backlog.next_due) == (1, None)


def test_queue_without_tokens_and_without_due_steps_waits_for_its_delayed_ones(
    store: Store, clock: FakeClock
) -> None:
    store.set_queue("q", QueueChange(rate=Rate(1, 10 * SECOND)))
    join(store)
    submit(store, "first", queue="q")
    claim(store)
    submit(store, "later", queue="q", delay=60 * SECOND)
    assert store.backlog().next_due == clock() + 60 * SECOND
