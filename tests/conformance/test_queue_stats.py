"""What waits and runs in each queue, by task type, and what ended lately."""

from __future__ import annotations

from typing import Any

from fleet_q.core.dependencies import parents_json
from fleet_q.core.ports import Store
from fleet_q.core.queue_stats import QueueStats, TypeStats
from fleet_q.core.queues import QueueChange
from fleet_q.core.step import Complete, Fail, Submit

from .clock import SECOND, FakeClock
from .helpers import acknowledge, claim, join, submit

WINDOW = 600 * SECOND


def submit_of(store: Store, queue: str, task_type: str, *step_ids: str, **options: Any) -> None:
    submit(store, *step_ids, queue=queue, task_type=task_type, **options)


def end(store: Store, *step_ids: str) -> None:
    """Claim all steps that are due, and complete these."""
    join(store)
    claim(store, 100, token="token")
    acknowledge(store, *(Complete(step_id, "token", "null") for step_id in step_ids))


def of_type(stats: QueueStats, queue: str = "q", task_type: str = "t") -> TypeStats:
    """The numbers of a task type of a queue."""
    (found,) = (each for each in stats.types if (each.queue, each.task_type) == (queue, task_type))
    return found


def test_empty_store_has_no_queues_with_steps(store: Store, clock: FakeClock) -> None:
    assert store.queue_stats(WINDOW) == QueueStats(clock(), clock() - WINDOW, store.counts(), ())


def test_steps_are_counted_by_queue_and_type(store: Store, clock: FakeClock) -> None:
    submit_of(store, "b", "t", "1", "2")
    submit_of(store, "a", "u", "3")
    submit_of(store, "a", "", "4", key="key")
    stats = store.queue_stats(WINDOW)
    assert stats.counts == store.counts()
    assert [(each.queue, each.task_type, each.pending) for each in stats.types] == [
        ("a", "", 1),
        ("a", "u", 1),
        ("b", "t", 2),
    ]


def test_steps_of_a_type_are_counted_by_status(store: Store, clock: FakeClock) -> None:
    submit_of(store, "q", "t", "completed", "held", "failed", priority=1)
    join(store)
    claim(store, 3, token="token")
    clock.advance(5)
    ended = clock()
    acknowledge(
        store,
        Complete("completed", "token", "null"),
        Fail("failed", "token", "Boom", permanent=True),
    )
    clock.advance(5)
    submit_of(store, "q", "t", "cancelled")
    store.cancel("cancelled")
    submit_of(store, "q", "t", "first", "second")
    waits_since = clock()
    submit_of(store, "q", "t", "delayed", delay=60 * SECOND)
    submit_of(store, "q", "t", "child", parents=parents_json({"first": "success"}))
    clock.advance(5)
    assert store.queue_stats(WINDOW).types == (
        TypeStats(
            "q",
            "t",
            is_paused=False,
            pending=3,
            delayed=1,
            waiting=1,
            claimed=1,
            failed=1,
            oldest=waits_since,
            completed_lately=1,
            failed_lately=1,
            first_ended=ended,
        ),
    )


def test_delayed_step_waits_from_the_time_on_at_which_it_is_due(
    store: Store, clock: FakeClock
) -> None:
    submit_of(store, "q", "t", "delayed", delay=30 * SECOND)
    due = clock() + 30 * SECOND
    assert (of_type(store.queue_stats(WINDOW)).delayed, due) == (1, due)
    clock.advance(31)
    numbers = of_type(store.queue_stats(WINDOW))
    assert (numbers.pending, numbers.delayed, numbers.oldest) == (1, 0, due)


def test_step_that_was_delayed_waits_for_less_long_than_one_that_was_submitted_before_its_time(
    store: Store, clock: FakeClock
) -> None:
    submit_of(store, "q", "t", "delayed", "held", delay=30 * SECOND)
    clock.advance(10)
    submit_of(store, "q", "t", "middle", "last")
    submitted = clock()
    clock.advance(25)
    join(store)
    claim(store, 1)  # delayed steps that are due are marked by it
    assert of_type(store.queue_stats(WINDOW)).oldest == submitted


def test_steps_that_ended_before_the_window_are_not_counted(store: Store, clock: FakeClock) -> None:
    submit_of(store, "q", "t", "early", "late")
    end(store, "early")
    clock.advance(599)
    acknowledge(store, Complete("late", "token", "null"))
    assert of_type(store.queue_stats(WINDOW)).completed_lately == 2
    clock.advance(2)
    numbers = of_type(store.queue_stats(WINDOW))
    assert (numbers.completed_lately, numbers.first_ended) == (1, clock() - 2 * SECOND)
    clock.advance(600)
    assert store.queue_stats(WINDOW).types == ()


def test_steps_that_wait_behind_completed_ones_do_not_hide_these(
    store: Store, clock: FakeClock
) -> None:
    submit_of(store, "q", "t", *(f"done {n}" for n in range(3)))
    end(store, *(f"done {n}" for n in range(3)))
    submit_of(store, "q", "t", *(f"waits {n}" for n in range(5)))
    submit_of(store, "q", "u", "other")
    numbers = of_type(store.queue_stats(WINDOW))
    assert (numbers.pending, numbers.completed_lately) == (5, 3)


def test_paused_queue_is_marked(store: Store) -> None:
    submit_of(store, "q", "t", "1")
    submit_of(store, "r", "t", "2")
    store.set_queue("q", QueueChange(max_running=3, paused=True))
    store.set_queue("r", QueueChange(max_running=3))
    store.set_queue("without steps", QueueChange(paused=True))
    stats = store.queue_stats(WINDOW)
    assert [(each.queue, each.is_paused) for each in stats.types] == [("q", True), ("r", False)]


def test_replayed_step_is_pending_and_no_dead_letter(store: Store) -> None:
    join(store)
    store.submit([Submit("step", "{}", queue="q", task_type="t")])
    claim(store, token="token")
    acknowledge(store, Fail("step", "token", "Boom", permanent=True))
    store.replay(["step"])
    numbers = of_type(store.queue_stats(WINDOW))
    assert (numbers.pending, numbers.failed, numbers.failed_lately) == (1, 0, 0)
