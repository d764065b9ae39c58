"""Compares schedules with their log, and corrects the rows that differ."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls
from fleet_q.adapters.snowflake.schedules import read_history, read_schedules, replace_row
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.ports import RebuildReport
from fleet_q.core.rebuild_schedules import differing_schedules, folded_schedule
from fleet_q.core.schedules import Schedule, ScheduleEvent

SECOND_LOOK: Final = 1.0
"""Seconds after which a row that differs is read once more, since a read may not see what another
session has just committed. One engineer met no such read 0.27 s after the write."""


def rebuild_schedules(calls: Calls, report: RebuildReport, *, check: bool) -> RebuildReport:
    """The report with the schedules whose rows differ from their log, also a moment later. Unless
    ``check``, the rows are corrected."""
    tables = _Tables(calls)
    differing = differing_schedules(tables)
    if differing.reasons:
        time.sleep(SECOND_LOOK)
        differing = differing_schedules(tables, {*differing.reasons})
    if not check:
        for name in differing.reasons:
            _correct(calls, tables, name)
    return differing.added_to(report)


def _correct(calls: Calls, tables: _Tables, name: str) -> None:
    def replace() -> None:
        row = tables.schedule(name)
        if not replace_row(calls, row, folded_schedule(tables, row, name)):
            raise StoreUnavailable("Snowflake: the schedule changed while it was being corrected")

    calls.patiently(replace)


class _Tables:
    """The rows of schedules and their log."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def schedules(self) -> tuple[Schedule, ...]:
        return read_schedules(self._calls).schedules

    def schedule(self, schedule: str) -> Schedule | None:
        return next((row for row in self.schedules() if row.schedule == schedule), None)

    def schedule_events(self) -> Iterator[ScheduleEvent]:
        return map(rows.to_schedule_event, self._calls.query("schedule_events"))

    def schedule_history(self, schedule: str) -> list[ScheduleEvent]:
        return read_history(self._calls, schedule)
