"""Schedules, which submit steps at times: ``app.schedules.put("nightly", {}, cron="0 2 * * *")``.

Schedules of the code are declared with ``@app.schedule`` and put by every pod that starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypedDict, Unpack

import msgspec

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core import schedules as core
from fleet_q.core.errors import (
    InvalidInput,
    LastStepNotEnded,
    StoreContended,
    UnknownSchedule,
)
from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.ports import Store
from fleet_q.core.retry import MICROS, micros
from fleet_q.core.schedules import (
    DEFAULT_WINDOW,
    Definition,
    Missed,
    Overlap,
    Schedule,
    ScheduleEvent,
    ScheduleEventType,
    ScheduleList,
    ScheduleStatus,
    ScheduleWrite,
    times_after,
)
from fleet_q.core.step import Submit
from fleet_q.core.submission import check_id, check_seconds, submission
from fleet_q.services.app.tasks import Task
from fleet_q.services.app.views import precise

MOST_TRIES: Final = 10
"""How often a change is tried while others change the same schedule."""

MOST_TIMES: Final = 1_000
"""The most times that :meth:`Schedules.next` returns."""

WEEK: Final = DEFAULT_WINDOW / MICROS


class TimedOptions(TypedDict, total=False):
    """The options of a schedule besides ``cron``; :meth:`Schedules.put` describes them."""

    every: float | None
    tz: str
    overlap: Overlap
    missed: Missed
    window: float
    queue: str
    priority: int
    max_retries: int | None
    key: str | None
    labels: Mapping[str, str] | None
    timeout: float | None


class ScheduleOptions(TimedOptions, total=False):
    """All options of a schedule."""

    cron: str | None


MakeCommand = Callable[..., Submit]
""":meth:`fleet_q.services.app.queue.Queue.command`."""


@dataclass(frozen=True)
class ScheduleView:
    """A schedule. Times are in UTC; ``every`` and ``window`` are in seconds. ``next`` is the time
    that fires next, ``last`` the one that fired last, ``last_step_id`` its step; ``skipped`` counts
    the times at which ``overlap`` let it submit none."""

    schedule: str
    status: ScheduleStatus
    cron: str | None
    every: float | None
    tz: str
    overlap: Overlap
    missed: Missed
    window: float
    payload: dict[str, Any]
    queue: str
    priority: int
    next: str | None
    last: str | None
    last_step_id: str | None
    skipped: int

    @classmethod
    def of(cls, row: Schedule) -> ScheduleView:
        """Make the view of ``row``."""
        submit = msgspec.json.decode(row.step, type=Submit)
        return cls(
            schedule=row.schedule,
            status=row.status,
            cron=row.cron,
            every=None if row.every is None else row.every / MICROS,
            tz=row.tz,
            overlap=row.overlap,
            missed=row.missed,
            window=row.window / MICROS,
            payload=msgspec.json.decode(submit.payload),
            queue=submit.queue,
            priority=submit.priority,
            next=None if row.next_ts is None else CALENDAR.text(row.next_ts),
            last=None if row.last_ts is None else CALENDAR.text(row.last_ts),
            last_step_id=row.last_step_id,
            skipped=row.skipped,
        )


@dataclass(frozen=True)
class ScheduleEventView:
    """A change of a schedule: who made it, when, and its rule after it."""

    version: int
    type: ScheduleEventType
    at: str
    by: str | None
    cron: str | None
    every: float | None
    tz: str
    overlap: Overlap
    missed: Missed
    payload: dict[str, Any]

    @classmethod
    def of(cls, event: ScheduleEvent) -> ScheduleEventView:
        """Make the view of ``event``."""
        submit = msgspec.json.decode(event.step, type=Submit)
        return cls(
            version=event.version,
            type=event.type,
            at=precise(event.event_ts),
            by=event.changed_by,
            cron=event.cron,
            every=None if event.every is None else event.every / MICROS,
            tz=event.tz,
            overlap=event.overlap,
            missed=event.missed,
            payload=msgspec.json.decode(submit.payload),
        )


def definition(
    command: MakeCommand,
    schedule: str,
    payload: Mapping[str, Any],
    *,
    cron: str | None = None,
    every: float | None = None,
    tz: str = "UTC",
    overlap: Overlap = "skip",
    missed: Missed = "latest",
    window: float = WEEK,
    queue: str = DEFAULT_QUEUE,
    priority: int = 0,
    max_retries: int | None = None,
    key: str | None = None,
    labels: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Definition:
    """Return the definition of a schedule with the arguments of :meth:`Schedules.put`. Raises
    :class:`InvalidInput`."""
    made = Definition(
        schedule,
        command(
            payload,
            queue=queue,
            priority=priority,
            max_retries=max_retries,
            key=key,
            labels=labels,
            timeout=timeout,
        ),
        *rule(cron, every, tz, overlap, missed, window),
    )
    core.check(made, CALENDAR)
    return made


def rule(
    cron: str | None, every: float | None, tz: str, overlap: Overlap, missed: Missed, window: float
) -> tuple[str | None, int | None, str, Overlap, Missed, int]:
    """Return the fields of a :class:`Definition` that say when it fires, with times in
    microseconds. Raises :class:`InvalidInput`."""
    for name, text in (("cron", cron), ("tz", tz)):
        if not isinstance(text, str) and (text is not None or name == "tz"):
            raise InvalidInput(f"{name} must be a text, not {text!r}")
    if every is not None:
        check_seconds(every, "every")
    check_seconds(window, "window")
    return cron, None if every is None else micros(every), tz, overlap, missed, micros(window)


@dataclass(frozen=True)
class Declared:
    """A schedule that the code declares: of ``task``, with these arguments by name."""

    name: str
    task: Task[Any, Any]
    arguments: Mapping[str, Any]
    cron: str | None
    options: TimedOptions

    def check(self) -> None:
        """Raise :class:`InvalidInput` if the task does not accept the arguments or the schedule is
        invalid."""
        try:
            definition(self._command, self.name, self._payload(), cron=self.cron, **self.options)
        except InvalidInput as error:
            raise InvalidInput(f"schedule {self.name!r}: {error}") from None

    def definition(self, command: MakeCommand) -> Definition:
        """Return its definition, whose steps ``command`` makes."""
        return definition(command, self.name, self._payload(), cron=self.cron, **self.options)

    def _payload(self) -> dict[str, Any]:
        return self.task.checked(self.task.payload_of((), self.arguments))

    @staticmethod
    def _command(payload: Mapping[str, Any], **options: Any) -> Submit:
        """Make a command without settings, which are not read before the app is used."""
        if options["max_retries"] is None:
            del options["max_retries"]
        return submission(payload, step_id="", unique=True, **options)


class Schedules:
    """The schedules in ``store()``. The pod that leads the fleet fires them.

    ``by()`` names who makes a change. ``on_change`` is called after each. ``command`` checks a
    payload and its options.
    """

    def __init__(
        self,
        store: Callable[[], Store],
        by: Callable[[], str],
        on_change: Callable[[], object],
        command: MakeCommand,
    ) -> None:
        self._store = store
        self._by = by
        self._on_change = on_change
        self._command = command

    def all(self) -> list[ScheduleView]:
        """Return the schedules that were not deleted, ordered by name."""
        rows = self._store().schedules().schedules
        return [ScheduleView.of(row) for row in rows if row.status != "deleted"]

    def put(
        self, schedule: str, payload: Mapping[str, Any], **options: Unpack[ScheduleOptions]
    ) -> ScheduleView:
        """Make or change a schedule, which submits a step with this payload at its times.

        Its times are those of ``cron``, five fields as in crontab, in the time zone ``tz``; or
        ``every`` so many seconds, counted from 1970-01-01 in UTC. Where the clocks change, a time
        of day that is left out fires at the end of the gap, and one that comes twice fires once; an
        expression for every hour fires in each hour that passes.

        ``overlap`` says what happens at a time when the last step has not ended: ``"skip"`` submits
        none, ``"one"`` submits one that waits for it, unless one waits already, ``"allow"`` submits
        one. ``missed`` says which of the times fire that passed while no pod ran, if they are at
        most ``window`` seconds ago, by default a week: the ``"latest"``, ``"all"`` or ``"none"``.
        The other options are those of :meth:`fleet_q.FleetQ.submit`. The id of a step is made of
        the schedule's name and its time: ``nightly@2026-11-28T01:00:00Z``.

        A schedule that is paused stays paused. Raises :class:`InvalidInput`.
        """
        made = definition(self._command, schedule, payload, **options)
        return self._change(
            schedule, lambda row, at: core.put(row, made, at, self._by(), CALENDAR), may_be_new=True
        )

    def pause(self, schedule: str) -> ScheduleView:
        """Let a schedule fire no more until it is resumed. Raises ``UnknownSchedule``."""
        return self._set_status(schedule, "paused")

    def resume(self, schedule: str) -> ScheduleView:
        """Let a paused schedule fire again, from its next time on. Raises ``UnknownSchedule``."""
        return self._set_status(schedule, "active")

    def delete(self, schedule: str) -> ScheduleView:
        """Delete a schedule; its steps stay. One that the code declares is made again by the next
        pod that starts. Raises ``UnknownSchedule``."""
        return self._set_status(schedule, "deleted")

    def trigger(self, schedule: str) -> str:
        """Fire a schedule now, also if it is paused; return the step's id. Its other times stay.

        Raises ``UnknownSchedule``, and ``LastStepNotEnded`` if ``overlap`` allows no step now.
        """

        def write(listed: ScheduleList, row: Schedule) -> ScheduleWrite:
            last_status = listed.last_statuses.get(row.last_step_id or "")
            return core.trigger(row, last_status, listed.at, CALENDAR)

        store = self._store()
        for _ in range(MOST_TRIES):
            listed = store.schedules()
            row = _named(listed, schedule)
            change = write(listed, row)
            if not change.steps:
                raise LastStepNotEnded(schedule, row.last_step_id or "", row.overlap)
            if store.write_schedule(change, self._by()):
                self._on_change()
                return change.steps[0].step_id
        raise StoreContended(f"schedule {schedule!r} is changed by others all the time; try again")

    def next(self, schedule: str, count: int = 5) -> list[str]:
        """Return the next times of a schedule, up to ``count``; none while it is paused. Raises
        ``UnknownSchedule``."""
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_TIMES:
            raise InvalidInput(
                f"count must be a whole number from 1 to {MOST_TIMES}, not {count!r}"
            )
        listed = self._store().schedules()
        row = _named(listed, schedule)
        if row.status != "active" or row.next_ts is None:
            return []
        times = times_after(row, row.next_ts - 1, CALENDAR)
        return [CALENDAR.text(time) for time in islice(times, count)]

    def history(self, schedule: str) -> list[ScheduleEventView]:
        """Return the changes of a schedule, oldest first. Raises ``UnknownSchedule``."""
        events = self._store().schedule_history(check_id(schedule, "schedule"))
        if not events:
            raise UnknownSchedule(schedule)
        return [ScheduleEventView.of(event) for event in events]

    def _set_status(self, schedule: str, status: ScheduleStatus) -> ScheduleView:
        def write(row: Schedule | None, at: int) -> ScheduleWrite | None:
            assert row is not None
            return core.set_status(row, status, at, self._by(), CALENDAR)

        return self._change(schedule, write)

    def _change(
        self,
        schedule: str,
        write: Callable[[Schedule | None, int], ScheduleWrite | None],
        *,
        may_be_new: bool = False,
    ) -> ScheduleView:
        store = self._store()
        for _ in range(MOST_TRIES):
            listed = store.schedules()
            row = next((row for row in listed.schedules if row.schedule == schedule), None)
            if not may_be_new:
                row = _named(listed, schedule)
            change = write(row, listed.at)
            if change is None:
                assert row is not None
                return ScheduleView.of(row)
            if store.write_schedule(change, self._by()):
                self._on_change()
                return ScheduleView.of(change.after)
        raise StoreContended(f"schedule {schedule!r} is changed by others all the time; try again")


def _named(listed: ScheduleList, schedule: str) -> Schedule:
    for row in listed.schedules:
        if row.schedule == schedule and row.status != "deleted":
            return row
    raise UnknownSchedule(schedule)
