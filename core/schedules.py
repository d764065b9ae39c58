"""Schedules: steps that are submitted at times of a calendar, each time once.

A schedule's definition is changed by events, which are kept. When it fires next, and what became of
the last time, is bookkeeping of its row, not history. Every write of the row compares its version
and its count of writes first, so of two leaders that fire the same time one changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Literal, Protocol, get_args

import msgspec
from msgspec.structs import replace

from fleet_q.core.dependencies import parents_json
from fleet_q.core.errors import CorruptLog, InvalidInput
from fleet_q.core.lifecycle import FINAL, StepStatus
from fleet_q.core.rate import MICROS
from fleet_q.core.step import Submit

Overlap = Literal["skip", "one", "allow"]
Missed = Literal["latest", "all", "none"]
ScheduleStatus = Literal["active", "paused", "deleted"]
ScheduleEventType = Literal["created", "changed", "paused", "resumed", "deleted"]

OVERLAP: Final = get_args(Overlap)
MISSED: Final = get_args(Missed)
SCHEDULE_EVENT_TYPES: Final = get_args(ScheduleEventType)

ON_TIME: Final = 60 * MICROS
"""A time that is not longer ago, in microseconds, is not missed: what fires it needs a moment."""

DEFAULT_WINDOW: Final = 7 * 86_400 * MICROS
"""Missed times fire later within a week by default: a fleet may be off over a holiday."""

LONGEST_WINDOW: Final = 366 * 86_400 * MICROS
SHORTEST_EVERY: Final = MICROS
LONGEST_EVERY: Final = 366 * 86_400 * MICROS

FIRED_AT_ONCE: Final = 100
"""The most steps that one transaction submits for a schedule."""

MAX_NAME_LENGTH: Final = 170
"""The maximum number of characters in a schedule's name, so that the time fits into a step's id."""


class Calendar(Protocol):
    """Knows cron expressions and time zones. Times are microseconds since the Unix epoch."""

    def check(self, cron: str, tz: str) -> None:
        """Raise ``InvalidInput`` unless the expression and the zone are valid."""

    def next_time(self, cron: str, tz: str, after: int) -> int | None:
        """The first time of the expression after this one; ``None``: there is none."""

    def text(self, time: int) -> str:
        """The time in UTC, as part of a step's id: ``2026-11-28T02:00:00Z``."""


class Schedule(msgspec.Struct, frozen=True):
    """A row of ``SCHEDULES``.

    It fires at the times of ``cron``, in the zone ``tz``, or ``every`` so many microseconds,
    counted from the Unix epoch. ``step`` is the submission of its steps as JSON, without an id.

    ``overlap`` says what happens at a time when the step of the last one has not ended: ``skip``
    submits none, ``one`` submits one that waits for it, unless one waits already, and ``allow``
    submits one. ``missed`` says which of several times that have passed count, if they are not
    longer ago than ``window`` microseconds: the ``latest``, ``all``, or ``none``, which is the
    latest if it is on time.

    ``next_ts`` is when it is looked at next: no time before it is due. ``last_ts`` and
    ``last_step_id`` are the time that fired last, and its step; ``skipped`` counts the times at
    which overlap let it submit none. ``firings`` counts the writes of this bookkeeping.
    """

    schedule: str
    step: str
    cron: str | None = None
    every: int | None = None
    tz: str = "UTC"
    overlap: Overlap = "skip"
    missed: Missed = "latest"
    window: int = DEFAULT_WINDOW
    status: ScheduleStatus = "active"
    next_ts: int | None = None
    last_ts: int | None = None
    last_step_id: str | None = None
    skipped: int = 0
    firings: int = 0
    version: int = 0
    last_update_ts: int = 0


class ScheduleEvent(msgspec.Struct, frozen=True):
    """A row of ``SCHEDULE_EVENTS``: who changed a schedule, when, and to what.

    ``changed_by`` is what the caller gave as its name: a pod, or a user on a machine.
    """

    schedule: str
    version: int
    type: ScheduleEventType
    event_ts: int
    changed_by: str | None
    step: str
    cron: str | None
    every: int | None
    tz: str
    overlap: Overlap
    missed: Missed
    window: int
    status: ScheduleStatus


class Definition(msgspec.Struct, frozen=True):
    """What a caller says of a schedule; see :class:`Schedule`. ``submit`` has no id."""

    schedule: str
    submit: Submit
    cron: str | None = None
    every: int | None = None
    tz: str = "UTC"
    overlap: Overlap = "skip"
    missed: Missed = "latest"
    window: int = DEFAULT_WINDOW


class ScheduleWrite(msgspec.Struct, frozen=True):
    """A change of a schedule's row, made only if the row still has the version and the count of
    writes of ``before``; ``None``: there is no row. ``steps`` are submitted with it, except those
    whose ids exist already: their times have fired."""

    before: Schedule | None
    after: Schedule
    event: ScheduleEvent | None = None
    steps: tuple[Submit, ...] = ()

    @property
    def expected(self) -> tuple[int, int]:
        """The version and the count of writes that the row must have."""
        return (0, 0) if self.before is None else (self.before.version, self.before.firings)


class ScheduleList(msgspec.Struct, frozen=True):
    """Schedules, ordered by name, as read at store time ``at``. ``last_statuses`` are the statuses
    of their last steps by id; those that were pruned are left out."""

    at: int
    schedules: tuple[Schedule, ...]
    last_statuses: dict[str, StepStatus]


_encode: Final = msgspec.json.Encoder().encode
_DEFINED: Final = ("step", "cron", "every", "tz", "overlap", "missed", "window", "status")
_RHYTHM: Final = ("cron", "every", "tz")


def check(definition: Definition, calendar: Calendar) -> None:
    """Raise ``InvalidInput`` unless the definition is valid."""
    name = definition.schedule
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_LENGTH or "\0" in name:
        raise InvalidInput(
            f"a schedule's name must be a text of 1 to {MAX_NAME_LENGTH} characters without NUL"
        )
    if (definition.cron is None) == (definition.every is None):
        raise InvalidInput("a schedule needs either a cron expression or every")
    if definition.cron is not None:
        calendar.check(definition.cron, definition.tz)
    elif definition.tz != "UTC":
        raise InvalidInput(f"tz is for cron expressions; every has none, not {definition.tz!r}")
    if definition.every is not None:
        _in_range("every", definition.every, SHORTEST_EVERY, LONGEST_EVERY)
    _in_range("window", definition.window, 0, LONGEST_WINDOW)
    for what, value, valid in (
        ("overlap", definition.overlap, OVERLAP),
        ("missed", definition.missed, MISSED),
    ):
        if value not in valid:
            raise InvalidInput(
                f"{what} must be {', '.join(valid[:-1])} or {valid[-1]}, not {value!r}"
            )


def _in_range(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInput(
            f"{what} must be {least // MICROS} to {most // MICROS} seconds, not {value / MICROS:g}"
        )


def put(
    row: Schedule | None, definition: Definition, at: int, by: str | None, calendar: Calendar
) -> ScheduleWrite | None:
    """The write that makes a schedule what ``definition`` says, at store time ``at``; ``None`` if
    it is that already. One that is paused stays paused. Times that were missed stay due, unless the
    definition has other times."""
    before = row or Schedule(definition.schedule, "")
    after = replace(
        before,
        step=_encode(replace(definition.submit, step_id="", unique=False)).decode(),
        cron=definition.cron,
        every=definition.every,
        tz=definition.tz,
        overlap=definition.overlap,
        missed=definition.missed,
        window=definition.window,
        status="paused" if before.status == "paused" else "active",
    )
    if row is not None and after == before:
        return None
    is_new = row is None or before.status == "deleted"
    has_new_times = any(getattr(after, name) != getattr(before, name) for name in _RHYTHM)
    if after.status == "active" and (is_new or has_new_times):
        after = replace(after, next_ts=next_time(after, at, calendar))
    return _changed(row, after, "created" if is_new else "changed", at, by)


def set_status(
    row: Schedule, status: ScheduleStatus, at: int, by: str | None, calendar: Calendar
) -> ScheduleWrite | None:
    """The write that pauses, resumes or deletes a schedule; ``None`` if it is so already. One that
    is resumed has missed no times."""
    if row.status == status:
        return None
    next_ts = next_time(row, at, calendar) if status == "active" else None
    kinds: dict[ScheduleStatus, ScheduleEventType] = {
        "active": "resumed", "paused": "paused", "deleted": "deleted",
    }  # fmt: skip
    return _changed(row, replace(row, status=status, next_ts=next_ts), kinds[status], at, by)


def _changed(
    row: Schedule | None, after: Schedule, kind: ScheduleEventType, at: int, by: str | None
) -> ScheduleWrite:
    event = ScheduleEvent(
        after.schedule,
        after.version + 1,
        kind,
        at,
        by,
        *(getattr(after, name) for name in _DEFINED),
    )
    return ScheduleWrite(row, replace(after, version=event.version, last_update_ts=at), event)


def after_event(row: Schedule | None, event: ScheduleEvent) -> Schedule:
    """The row after an event, apart from its bookkeeping; it may be due from the event on. Raises
    ``CorruptLog`` if it is not the next event of the schedule."""
    before = row or Schedule(event.schedule, event.step)
    if event.version != before.version + 1:
        raise CorruptLog(f"schedule {event.schedule!r} has a gap before version {event.version}")
    return replace(
        before,
        **{name: getattr(event, name) for name in _DEFINED},
        next_ts=event.event_ts if event.status == "active" else None,
        version=event.version,
        last_update_ts=event.event_ts,
    )


def fold_schedule(history: Iterable[ScheduleEvent]) -> Schedule | None:
    """The row after all events of a schedule; ``None`` for an empty history."""
    row: Schedule | None = None
    for event in history:
        row = after_event(row, event)
    return row


def with_bookkeeping(folded: Schedule, row: Schedule | None) -> Schedule:
    """The folded schedule with the bookkeeping of its row, which is not in the history. Without a
    row, it may be due from its last event on."""
    if row is None:
        return folded
    has_same_times = all(
        getattr(row, name) == getattr(folded, name) for name in (*_RHYTHM, "status")
    )
    return replace(
        folded,
        next_ts=row.next_ts if has_same_times else folded.next_ts,
        last_ts=row.last_ts,
        last_step_id=row.last_step_id,
        skipped=row.skipped,
        firings=row.firings,
    )


def at_moment(
    folded: Schedule, next_ts: int | None, last_ts: int | None, last_step_id: str | None
) -> Schedule:
    """The folded schedule of a moment, with what is known of its bookkeeping then."""
    return replace(folded, next_ts=next_ts, last_ts=last_ts, last_step_id=last_step_id)


def next_time(schedule: Schedule, after: int, calendar: Calendar) -> int | None:
    """The first time of the schedule after this one; ``None``: there is none."""
    if schedule.every is not None:
        return (after // schedule.every + 1) * schedule.every
    assert schedule.cron is not None
    return calendar.next_time(schedule.cron, schedule.tz, after)


def times_after(schedule: Schedule, after: int, calendar: Calendar) -> Iterator[int]:
    """The times of the schedule after this one, in order."""
    time = next_time(schedule, after, calendar)
    while time is not None:
        yield time
        time = next_time(schedule, time, calendar)


def is_due(schedule: Schedule, at: int) -> bool:
    """Whether the schedule has to be looked at, at store time ``at``."""
    return schedule.status == "active" and schedule.next_ts is not None and schedule.next_ts <= at


def fire(
    schedule: Schedule, last_status: StepStatus | None, at: int, calendar: Calendar
) -> ScheduleWrite:
    """The write that fires the due times of a schedule, at store time ``at``; each of them is
    submitted, skipped, or missed for good. ``last_status`` is the status of its last step, ``None``
    if there is none."""
    times, next_ts = _due_times(schedule, at, calendar)
    return _submitted(schedule, times, next_ts, last_status, calendar)


def trigger(
    schedule: Schedule, last_status: StepStatus | None, at: int, calendar: Calendar
) -> ScheduleWrite:
    """The write that fires a schedule now, whatever its times, also if it is paused."""
    return _submitted(schedule, [at], schedule.next_ts, last_status, calendar)


def _due_times(schedule: Schedule, at: int, calendar: Calendar) -> tuple[list[int], int | None]:
    """The times to fire, and the next one to look at."""
    assert schedule.next_ts is not None
    window = ON_TIME if schedule.missed == "none" else max(schedule.window, ON_TIME)
    before = max(schedule.next_ts, at - window) - 1
    if schedule.missed != "all":
        latest = _latest_time(schedule, before, at, calendar)
        return [] if latest is None else [latest], next_time(schedule, at, calendar)
    times: list[int] = []
    for time in times_after(schedule, before, calendar):
        if time > at or len(times) == FIRED_AT_ONCE:
            return times, time
        times.append(time)
    return times, None


def _latest_time(schedule: Schedule, after: int, at: int, calendar: Calendar) -> int | None:
    """The latest time after ``after`` and until ``at``. It is looked for in ever longer spans, so
    that few times are found."""
    span = MICROS
    while True:
        begin = max(after, at - span)
        latest = None
        for time in times_after(schedule, begin, calendar):
            if time > at:
                break
            latest = time
        if latest is not None or begin == after:
            return latest
        span *= 4


def _submitted(
    schedule: Schedule,
    times: Iterable[int],
    next_ts: int | None,
    status: StepStatus | None,
    calendar: Calendar,
) -> ScheduleWrite:
    template = msgspec.json.decode(schedule.step, type=Submit)
    steps: list[Submit] = []
    last_ts, last_step_id, skipped = schedule.last_ts, schedule.last_step_id, schedule.skipped
    for time in times:
        step_id = f"{schedule.schedule}@{calendar.text(time)}"
        parents = None
        if schedule.overlap != "allow" and status is not None and status not in FINAL:
            if schedule.overlap == "skip" or status != "claimed":
                skipped += 1
                continue
            assert last_step_id is not None
            parents = parents_json({last_step_id: "finished"})
        steps.append(replace(template, step_id=step_id, parents=parents))
        last_ts, last_step_id, status = time, step_id, "pending"
    after = replace(
        schedule,
        next_ts=next_ts,
        last_ts=last_ts,
        last_step_id=last_step_id,
        skipped=skipped,
        firings=schedule.firings + 1,
    )
    return ScheduleWrite(schedule, after, None, tuple(steps))
