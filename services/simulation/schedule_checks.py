"""Checks of schedules: each time is decided once, as the rules of the schedule say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from fleet_q.core.schedules import Schedule, ScheduleEvent
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.records import Records, require

MINUTE: Final = 60_000_000

MOST_AT_ONCE: Final = 100
"""The most steps of a schedule in one transaction."""


class Timetable(msgspec.Struct):
    """A schedule according to its history. ``undecided``: no time from this one on was decided.
    ``changed``: when it was put or resumed last, in true time."""

    every: int
    overlap: str
    missed: str
    window: int
    is_active: bool
    undecided: int
    changed: int
    writes: int = 0
    last_step_id: str | None = None


class Read(msgspec.Struct):
    """When a process read the schedules, by the store's clock, and the statuses of their last steps
    by id, as it knows them."""

    at: int
    statuses: dict[str, str]


class Firing(msgspec.Struct):
    """The times that have to fire, and what the steps have to wait for."""

    times: list[int]
    parents: dict[str, str]


class ScheduleChecks:
    """Checks every write of a schedule. ``now``: returns the true time in microseconds."""

    def __init__(self, records: Records, now: Callable[[], int]) -> None:
        self.timetables: dict[str, Timetable] = {}
        self._records = records
        self._now = now
        self._ids: dict[tuple[str, int], str] = {}  # of steps, by schedule and time
        self._reads: dict[Actor, Read] = {}

    @property
    def active(self) -> list[str]:
        """The schedules that fire."""
        return [name for name, timetable in self.timetables.items() if timetable.is_active]

    def read(self, actor: Actor, at: int) -> None:
        """A process has read the schedules."""
        last = [timetable.last_step_id for timetable in self.timetables.values()]
        statuses = {i: self._records.steps[i].status for i in last if i and self._exists(i)}
        self._reads[actor] = Read(at, statuses)

    def written(
        self, actor: Actor, event: ScheduleEvent | None, row: Schedule, submitted: Sequence[str]
    ) -> None:
        """Check a write, and the steps that it has submitted. Raises :class:`Violation`."""
        name = row.schedule
        before = self.timetables.get(name)
        writes = row.version + row.firings
        require(
            writes == (1 if before is None else before.writes + 1),
            "each time fires once",
            name,
            "was written by one who had not read it as it was",
        )
        if event is not None:
            require(not submitted, "each time fires once", name, "fired when it was changed")
            self._set(event, before, writes)
            return
        require(before is not None, "each time fires once", name, "fired and does not exist")
        assert before is not None
        require(before.is_active, "each time fires once", name, "fired while it was paused")
        fired = [_time_of(step_id) for step_id in submitted]
        self._ids.update(((name, time), i) for time, i in zip(fired, submitted, strict=True))
        read = self._reads[actor]
        firing = _due(before, read)
        present = [time for time in firing.times if time in fired or not self._has_step(name, time)]
        require(
            fired == present,
            "each time fires once",
            name,
            "fired {} at {} instead of {}",
            fired,
            read.at,
            present,
        )
        for step_id in submitted:
            parents = self._records.steps[step_id].parents
            require(
                parents == firing.parents,
                "each time fires once",
                step_id,
                "waits for {} instead of {}",
                parents,
                firing.parents,
            )
        before.writes = writes
        if firing.times:
            before.last_step_id = self._ids[name, firing.times[-1]]
            read.statuses[before.last_step_id] = "pending"

    def _has_step(self, name: str, time: int) -> bool:
        """Whether there is a step of this time, which has fired before the clock was set back."""
        return self._exists(self._ids.get((name, time)))

    def _exists(self, step_id: str | None) -> bool:
        record = self._records.steps.get(step_id or "")
        return record is not None and not record.pruned

    def _set(self, event: ScheduleEvent, before: Timetable | None, writes: int) -> None:
        assert event.every is not None
        is_active = event.status == "active"
        begins = before is None or before.every != event.every or event.type == "resumed"
        first = (event.event_ts // event.every + 1) * event.every
        self.timetables[event.schedule] = Timetable(
            event.every,
            event.overlap,
            event.missed,
            event.window,
            is_active,
            first if begins or before is None else before.undecided,
            self._now(),
            writes,
            None if before is None else before.last_step_id,
        )


def _due(timetable: Timetable, read: Read) -> Firing:
    """What has to fire after that read; all times until then are decided by that."""
    every = timetable.every
    window = MINUTE if timetable.missed == "none" else max(timetable.window, MINUTE)
    first = max(timetable.undecided, -(-(read.at - window) // every) * every)
    times = list(range(first, read.at + 1, every))
    times = times[:MOST_AT_ONCE] if timetable.missed == "all" else times[-1:]
    timetable.undecided = (read.at // every + 1) * every
    if timetable.missed == "all" and times:
        timetable.undecided = times[-1] + every
    if timetable.overlap == "allow":
        return Firing(times, {})
    last = timetable.last_step_id or ""
    status = read.statuses.get(last)
    if timetable.overlap == "one" and status == "claimed":
        return Firing(times[:1], {last: "finished"})
    return Firing([] if status in ("waiting", "pending", "claimed") else times[:1], {})


def _time_of(step_id: str) -> int:
    """The time in the id of a schedule's step, in microseconds."""
    text = step_id.partition("@")[2]
    return round(datetime.fromisoformat(text).timestamp()) * 1_000_000
