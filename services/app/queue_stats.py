"""The views of what waits and runs in each queue."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from fleet_q.core.queue_stats import QueueStats, TypeStats
from fleet_q.core.retry import MICROS
from fleet_q.core.unserved import Pair


@dataclass(frozen=True)
class TypeStatsView:
    """The steps of one task type in one queue; times are in seconds.

    ``pending`` steps wait, of which ``delayed`` are not due, and the one that has been due for
    longest is since ``oldest_age``. ``waiting`` steps wait for others. ``failed`` are the dead
    letters. ``completed_lately`` and ``failed_lately`` are those that ended in the window.
    ``time_left`` is how long the steps that are due take at the rate at which steps ended in it;
    ``None``: unknown, because none ended or the queue is ``paused``. ``unserved``: steps wait, and
    no live pod takes them.
    """

    queue: str
    task_type: str | None
    pending: int
    delayed: int
    waiting: int
    claimed: int
    failed: int
    oldest_age: float | None
    completed_lately: int
    failed_lately: int
    time_left: float | None
    paused: bool
    unserved: bool

    @classmethod
    def of(cls, stats: TypeStats, at: int, unserved: Collection[Pair]) -> TypeStatsView:
        """Make the view of ``stats``, counted at store time ``at``."""
        left = None if stats.is_paused else stats.time_left(at)
        return cls(
            queue=stats.queue,
            task_type=stats.task_type or None,
            pending=stats.pending,
            delayed=stats.delayed,
            waiting=stats.waiting,
            claimed=stats.claimed,
            failed=stats.failed,
            oldest_age=None if stats.oldest is None else _seconds(at - stats.oldest),
            completed_lately=stats.completed_lately,
            failed_lately=stats.failed_lately,
            time_left=None if left is None else _seconds(left),
            paused=stats.is_paused,
            unserved=(stats.queue, stats.task_type) in unserved,
        )


@dataclass(frozen=True)
class QueueStatsView:
    """The number of steps in each status, and in ``queues`` those of each task type of each queue.

    ``window`` is the number of seconds before now in which steps ended ``lately``: 600, or less if
    very many did. ``inbox`` is the number of rows of the inbox that are no steps yet.
    """

    pending: int
    waiting: int
    claimed: int
    completed: int
    failed: int
    cancelled: int
    inbox: int
    window: float
    queues: list[TypeStatsView]

    @classmethod
    def of(cls, stats: QueueStats, unserved: Iterable[Pair]) -> QueueStatsView:
        """Make the view of ``stats``; ``unserved`` are the pairs of queue and task type that no
        live pod takes."""
        pairs = set(unserved)
        queues = [TypeStatsView.of(each, stats.at, pairs) for each in stats.types]
        counts: dict[str, int] = {str(status): n for status, n in stats.counts.items()}
        window = _seconds(stats.at - stats.since)
        return cls(**counts, inbox=stats.inbox, window=window, queues=queues)


def _seconds(micros: int) -> float:
    return round(max(0, micros) / MICROS, 3)
