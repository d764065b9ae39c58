"""How many steps wait, how many are held, and when the next one becomes due."""

from __future__ import annotations

from fleet_q.core.ports import Backlog, Store
from fleet_q.core.step import Fail

from .clock import SECOND, FakeClock
from .helpers import acknowledge, completed_step, failed_step, held_step, submit


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
