"""What waits and runs in each queue, and how much of it was done lately."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import msgspec

from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.retry import MICROS
from fleet_q.core.step import Step, is_due

WINDOW: Final = 600 * MICROS
"""Microseconds of which the steps count that ended lately: ten minutes. Shorter ones give no steady
rate for tasks that take minutes, longer ones show too late that a fleet has grown."""

SHORTEST_SPAN: Final = 1 * MICROS
"""Microseconds over which a rate is taken at least: one step that ended just now is no rate."""


COUNTED: Final[tuple[StepStatus, ...]] = ("pending", "waiting", "claimed", "failed")
"""The statuses whose steps are all counted, however old they are."""

ENDED: Final[tuple[StepStatus, ...]] = ("completed", "failed")
"""The statuses whose steps are counted if they came to them in the window."""


class StepGroup(msgspec.Struct, frozen=True):
    """Some of the steps of one queue, task type and status; there may be several groups of these.

    - ``number``: how many they are, of which ``delayed`` are pending but not due.
    - ``oldest``: when the due one that has waited longest was submitted or became due, whichever is
      later; ``None``: none is due.
    - ``recent``: how many have been in this status since the beginning of the window, and
      ``first_recent``, when the first of these came to it.
    """

    queue: str
    task_type: str
    status: StepStatus
    number: int
    delayed: int = 0
    oldest: int | None = None
    recent: int = 0
    first_recent: int | None = None

    @classmethod
    def of(cls, step: Step, at: int, since: int) -> StepGroup:
        """The group of one step, at store time ``at``; the window begins at ``since``."""
        delayed, oldest = 0, None
        if step.status == "pending":
            if is_due(step, at):
                oldest = max(step.created_ts, step.available_ts)
            else:
                delayed = 1
        recent, first = (1, step.last_update_ts) if step.last_update_ts >= since else (0, None)
        return cls(step.queue, step.task_type, step.status, 1, delayed, oldest, recent, first)


class TypeStats(msgspec.Struct, frozen=True):
    """The steps of one task type in one queue.

    - ``is_paused``: the queue is.
    - ``pending``: those that pods may claim, of which ``delayed`` are not due; ``oldest`` is since
      when the due one waits that has waited longest.
    - ``waiting``: those that wait for others; ``claimed``: those that pods hold; ``failed``: the
      dead letters.
    - ``completed_lately``, ``failed_lately``: those that ended in the window, the first of them at
      ``first_ended``.
    """

    queue: str
    task_type: str
    is_paused: bool
    pending: int
    delayed: int
    waiting: int
    claimed: int
    failed: int
    oldest: int | None
    completed_lately: int
    failed_lately: int
    first_ended: int | None

    def time_left(self, at: int) -> int | None:
        """In how many microseconds from ``at`` the steps that are due will have ended, if steps go
        on to end as they have since ``first_ended``; ``None`` if none has."""
        due, ended = self.pending - self.delayed, self.completed_lately + self.failed_lately
        if not due:
            return 0
        if self.first_ended is None or not ended:
            return None
        return due * max(at - self.first_ended, SHORTEST_SPAN) // ended


class QueueStats(msgspec.Struct, frozen=True):
    """The steps of all queues, counted at store time ``at``.

    - ``since``: when the window began. A store may count in a shorter one than it was asked for if
      very many steps ended in that.
    - ``counts``: the number of steps in each status.
    - ``types``: each task type of each queue, ordered by both, apart from those of which no step
      waits, runs, is a dead letter or ended in the window.
    - ``inbox``: how many rows of the inbox no sync has taken in yet.
    """

    at: int
    since: int
    counts: Mapping[StepStatus, int]
    types: tuple[TypeStats, ...]
    inbox: int = 0


def stats_of_types(groups: Iterable[StepGroup], paused: Collection[str]) -> tuple[TypeStats, ...]:
    """The steps of each queue and task type, of which ``groups`` are the parts; ``paused`` are the
    queues that are."""
    totals: dict[tuple[str, str], _Total] = {}
    for group in groups:
        totals.setdefault((group.queue, group.task_type), _Total()).add(group)
    return tuple(
        TypeStats(
            queue,
            task_type,
            queue in paused,
            pending=total.numbers["pending"],
            delayed=total.delayed,
            waiting=total.numbers["waiting"],
            claimed=total.numbers["claimed"],
            failed=total.numbers["failed"],
            oldest=total.oldest,
            completed_lately=total.recent["completed"],
            failed_lately=total.recent["failed"],
            first_ended=total.first_ended,
        )
        for (queue, task_type), total in sorted(totals.items())
        if not total.is_empty
    )


class _Total:
    """The sum of the groups of a queue and task type."""

    def __init__(self) -> None:
        self.numbers = dict.fromkeys(COUNTED, 0)
        self.recent = dict.fromkeys(ENDED, 0)
        self.delayed = 0
        self.oldest: int | None = None
        self.first_ended: int | None = None

    @property
    def is_empty(self) -> bool:
        return not (any(self.numbers.values()) or any(self.recent.values()))

    def add(self, group: StepGroup) -> None:
        if group.status in self.numbers:
            self.numbers[group.status] += group.number
        self.delayed += group.delayed
        self.oldest = _earlier(self.oldest, group.oldest)
        if group.status in self.recent:
            self.recent[group.status] += group.recent
            self.first_ended = _earlier(self.first_ended, group.first_recent)


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((time for time in (one, other) if time is not None), default=None)
