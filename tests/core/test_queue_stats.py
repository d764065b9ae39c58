"""How the parts of a queue's steps add up, and how much time they need."""

from __future__ import annotations

from fleet_q.core.queue_stats import StepGroup, TypeStats, stats_of_types

SECOND = 1_000_000
NOW = 1_000 * SECOND


def of_groups(*groups: StepGroup) -> TypeStats:
    (stats,) = stats_of_types(groups, ())
    return stats


def waiting(number: int, delayed: int = 0) -> StepGroup:
    return StepGroup("q", "t", "pending", number, delayed, oldest=NOW - SECOND)


def completed(number: int, first: int) -> StepGroup:
    return StepGroup("q", "t", "completed", number, recent=number, first_recent=first)


def test_groups_of_one_type_add_up() -> None:
    stats = of_groups(
        StepGroup("q", "t", "pending", 3, oldest=7),
        StepGroup("q", "t", "pending", 2, delayed=1, oldest=5),
        StepGroup("q", "t", "waiting", 7),
        StepGroup("q", "t", "claimed", 4, recent=4, first_recent=1),
        StepGroup("q", "t", "failed", 6, recent=1, first_recent=9),
        StepGroup("q", "t", "completed", 50, recent=8, first_recent=8),
        StepGroup("q", "t", "cancelled", 5, recent=5, first_recent=2),
    )
    assert stats == TypeStats(
        "q",
        "t",
        is_paused=False,
        pending=5,
        delayed=1,
        waiting=7,
        claimed=4,
        failed=6,
        oldest=5,
        completed_lately=8,
        failed_lately=1,
        first_ended=8,
    )


def test_type_of_which_nothing_waits_runs_or_ended_lately_is_left_out() -> None:
    groups = [StepGroup("q", "t", "completed", 50), StepGroup("q", "t", "cancelled", 5, recent=5)]
    assert stats_of_types(groups, ()) == ()


def test_time_left_is_that_of_the_due_steps_at_the_rate_since_the_first_one_ended() -> None:
    stats = of_groups(waiting(40, delayed=10), completed(20, first=NOW - 60 * SECOND))
    assert stats.time_left(NOW) == 90 * SECOND


def test_dead_letters_count_for_the_rate_too() -> None:
    failed = StepGroup("q", "t", "failed", 9, recent=5, first_recent=NOW - 60 * SECOND)
    stats = of_groups(waiting(30), completed(15, first=NOW - 30 * SECOND), failed)
    assert stats.time_left(NOW) == 90 * SECOND


def test_time_left_is_unknown_while_no_step_has_ended() -> None:
    assert of_groups(waiting(30)).time_left(NOW) is None


def test_no_time_is_left_if_no_step_is_due() -> None:
    assert of_groups(waiting(10, delayed=10)).time_left(NOW) == 0
    assert of_groups(completed(1, first=NOW)).time_left(NOW) == 0


def test_one_step_that_ended_just_now_is_no_endless_rate() -> None:
    assert of_groups(waiting(100), completed(1, first=NOW)).time_left(NOW) == 100 * SECOND
