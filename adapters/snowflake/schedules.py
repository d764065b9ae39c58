"""Reads and writes schedules."""

from __future__ import annotations

from msgspec.structs import astuple

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls
from fleet_q.adapters.snowflake.session import new_change_id
from fleet_q.adapters.snowflake.submit import encoded
from fleet_q.core.dependencies import parents_of
from fleet_q.core.errors import UnknownStep
from fleet_q.core.ports import CheckedSubmission
from fleet_q.core.schedules import Schedule, ScheduleEvent, ScheduleList, ScheduleWrite
from fleet_q.core.step import Submit


def read_schedules(calls: Calls) -> ScheduleList:
    """See :meth:`fleet_q.core.ports.Store.schedules`."""
    found = calls.query("schedules")
    schedules = [(row[1], rows.to_schedule(row[2:])) for row in found if row[2] is not None]
    statuses = {
        schedule.last_step_id: status
        for status, schedule in schedules
        if status is not None and schedule.last_step_id is not None
    }
    return ScheduleList(found[0][0], tuple(schedule for _, schedule in schedules), statuses)


def read_history(calls: Calls, schedule: str) -> list[ScheduleEvent]:
    """See :meth:`fleet_q.core.ports.Store.schedule_history`."""
    history = calls.query("schedule_history", schedule=schedule)
    return [rows.to_schedule_event(row) for row in history]


def write_schedule(calls: Calls, write: ScheduleWrite, by: str | None) -> bool:
    """See :meth:`fleet_q.core.ports.Store.write_schedule`. If the answer to a call is lost, the
    next one finds whether it has written the row."""
    earlier: list[str] = []
    return calls.patiently(
        lambda: _write(calls, write.before, write.after, write.event, write.steps, by, earlier)
    )


def replace_row(calls: Calls, before: Schedule | None, after: Schedule | None) -> bool:
    """Replace the row of a schedule, whatever its history; returns whether it still was
    ``before``. ``None``: there is no row."""
    return before == after or _write(calls, before, after, None, (), None, [])


def _write(
    calls: Calls,
    before: Schedule | None,
    after: Schedule | None,
    event: ScheduleEvent | None,
    steps: tuple[Submit, ...],
    by: str | None,
    earlier: list[str],
) -> bool:
    """``earlier`` are the ids of calls that were not answered; that of this one is added."""
    row = after or before
    assert row is not None
    change_id, earlier_ids = new_change_id(), rows.encode(earlier)
    earlier.append(change_id)
    answer = calls.session.call(
        "write_schedule",
        schedule=row.schedule,
        expected_version=0 if before is None else before.version,
        expected_firings=0 if before is None else before.firings,
        schedules=rows.encode([] if after is None else [astuple(after)]),
        events=rows.encode([] if event is None else [astuple(event)]),
        submissions=encoded(CheckedSubmission(change_id, steps, by)),
        submission_count=len(steps),
        has_parents=any(step.parents is not None for step in steps),
        earlier=earlier_ids,
        change_id=change_id,
    )
    written = int(answer[0][0])
    if written < 0:
        parents = sorted({parent for step in steps for parent in parents_of(step.parents)})
        raise UnknownStep(", ".join(parents))
    return written > 0
