"""Timeline, which counts the steps of any moment: those of now, less what has happened since."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from fleet_q.core.activity import MINUTE, Activity
from fleet_q.core.errors import FleetQError
from fleet_q.core.lifecycle import STEP_STATUSES, StepStatus
from fleet_q.core.ports import Store
from fleet_q.core.queue_stats import COUNTED, WINDOW, QueueStats

SETTLED: Final = 2 * MINUTE
"""Microseconds after which nothing is added to a minute: statements that began then have ended."""

Pair = tuple[str, str]
"""A queue and a task type."""


class NotReady(FleetQError):
    """The log is still being read; ``progress`` is the part of it that was, from 0 to 1."""

    def __init__(self, progress: float) -> None:
        super().__init__(f"the log is still being read, {progress:.0%} so far; try again soon")
        self.progress = progress


@dataclass(frozen=True)
class Counts:
    """The steps of a moment: how many are in each status, and how many of each queue and task type
    are in those of ``COUNTED``."""

    at: int
    statuses: dict[StepStatus, int]
    types: dict[Pair, Counter[StepStatus]]


class Timeline:
    """What happened in ``store``, counted by minutes and kept in memory. Any thread may use it.

    The past does not change, so only the latest minutes are read again; if steps were pruned, all
    of it is.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._minutes: dict[int, list[Activity]] = {}
        self._until = 0  # the minutes before are kept
        self._stats: QueueStats | None = None
        self._tail: dict[int, list[Activity]] = {}

    def refresh(self) -> QueueStats:
        """Read what is new; return the steps as they are now."""
        with self._lock:
            stats = self._store.queue_stats(WINDOW)
            until = (stats.at - SETTLED) // MINUTE * MINUTE
            if until > self._until:
                self._minutes = _by_minute(self._read(self._until, until), self._minutes)
                self._until = until
            self._tail = _by_minute(self._read(self._until, stats.at + 1), {})
            self._stats = stats
            if self._has_lost_steps(stats):
                self._minutes = _by_minute(self._read(0, self._until), {})
            return stats

    @property
    def first(self) -> int | None:
        """The beginning of the first minute in which something happened to a step."""
        minutes = [*self._minutes, *self._tail]
        return min(minutes) * MINUTE if minutes else None

    def at(self, moment: int) -> Counts:
        """The steps of a moment."""
        stats = self.refresh()
        counts = now(stats)
        if moment < stats.at:
            for change in self.after(moment):
                undo(counts, change)
        return Counts(min(moment, stats.at), counts.statuses, counts.types)

    def after(self, moment: int) -> Iterator[Activity]:
        """The changes after a moment."""
        minute = moment // MINUTE
        yield from self._read(moment + 1, (minute + 1) * MINUTE)
        for minutes in (self._minutes, self._tail):
            for number, changes in minutes.items():
                if number > minute:
                    yield from changes

    def between(self, since: int, moment: int) -> Iterator[Activity]:
        """The changes from the minute of ``since`` on, until a moment, that moment included."""
        first, last = since // MINUTE, moment // MINUTE
        for minutes in (self._minutes, self._tail):
            for number, changes in minutes.items():
                if first <= number < last:
                    yield from changes
        yield from self._read(max(last, first) * MINUTE, moment + 1)

    def _read(self, since: int, until: int) -> Iterator[Activity]:
        cursor: str | None = None
        while since < until:
            page = self._store.activity(since, until, cursor)
            yield from page.changes
            cursor = page.cursor
            if cursor is None:
                return

    def _has_lost_steps(self, stats: QueueStats) -> bool:
        """Whether the store has fewer steps than were submitted, because some were pruned."""
        submitted = sum(
            change.number
            for minutes in (self._minutes, self._tail)
            for changes in minutes.values()
            for change in changes
            if change.before is None
        )
        return submitted > sum(stats.counts.values())


def now(stats: QueueStats) -> Counts:
    """The steps as they are now."""
    types: defaultdict[Pair, Counter[StepStatus]] = defaultdict(Counter)
    for each in stats.types:
        types[each.queue, each.task_type] = Counter(
            {status: getattr(each, status) for status in COUNTED}
        )
    statuses = {status: stats.counts.get(status, 0) for status in STEP_STATUSES}
    return Counts(stats.at, statuses, types)


def undo(counts: Counts, change: Activity) -> None:
    """Count as before some changes."""
    if change.before == change.after:
        return
    of_type = counts.types[change.queue, change.task_type]
    counts.statuses[change.after] -= change.number
    if change.after in COUNTED:
        of_type[change.after] -= change.number
    if change.before is not None:
        counts.statuses[change.before] += change.number
        if change.before in COUNTED:
            of_type[change.before] += change.number


def _by_minute(
    changes: Iterable[Activity], known: dict[int, list[Activity]]
) -> dict[int, list[Activity]]:
    minutes = dict(known)
    new: defaultdict[int, list[Activity]] = defaultdict(list)
    for change in changes:
        new[change.minute].append(change)
    for minute, found in new.items():
        minutes[minute] = [*minutes.get(minute, ()), *found]
    return minutes
