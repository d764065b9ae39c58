"""Compare schedules with their log, and correct the rows that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from fleet_q.core.differences import difference
from fleet_q.core.errors import FleetQError, UnknownToThisVersion
from fleet_q.core.ports import Database, RebuildReport, Transaction
from fleet_q.core.schedules import Schedule, ScheduleEvent, fold_schedule, with_bookkeeping


class ScheduleTables(Protocol):
    """The rows of schedules and their log; see :class:`fleet_q.core.ports.Transaction`."""

    def schedules(self) -> Sequence[Schedule]: ...

    def schedule(self, schedule: str) -> Schedule | None: ...

    def schedule_events(self) -> Iterator[ScheduleEvent]: ...

    def schedule_history(self, schedule: str) -> Sequence[ScheduleEvent]: ...


class DifferingSchedules(msgspec.Struct, frozen=True):
    """The schedules whose rows differ from their log, with the reasons, and what is inconsistent
    about others."""

    reasons: dict[str, str]
    inconsistent: tuple[str, ...]

    def added_to(self, report: RebuildReport) -> RebuildReport:
        """The report with these."""
        return replace(
            report,
            differing_schedules=tuple(self.reasons),
            reasons=(*report.reasons, *self.reasons.values()),
            inconsistent=(*report.inconsistent, *self.inconsistent),
        )


def with_schedules(
    report: RebuildReport, tx: Transaction, database: Database, *, check: bool
) -> RebuildReport:
    """The report with the schedules whose rows differ from their log in the snapshot ``tx``. Unless
    ``check``, the rows are corrected; those with an inconsistent log are left alone."""
    differing = differing_schedules(tx)
    if differing.reasons and not check:
        with database.write() as writing:
            for name in differing.reasons:
                _correct(name, writing)
    return differing.added_to(report)


def differing_schedules(
    tables: ScheduleTables, names: Iterable[str] | None = None
) -> DifferingSchedules:
    """Those of the schedules of these names, by default of all, that differ from their log."""
    if names is None:
        logged = (event.schedule for event in tables.schedule_events())
        names = {*logged, *(row.schedule for row in tables.schedules())}
    reasons: dict[str, str] = {}
    inconsistent: list[str] = []
    for name in sorted(names):
        try:
            reason = _difference(name, tables)
        except UnknownToThisVersion:
            raise
        except FleetQError as error:
            inconsistent.append(str(error))
            continue
        if reason is not None:
            reasons[name] = reason
    return DifferingSchedules(reasons, tuple(inconsistent))


def folded_schedule(tables: ScheduleTables, row: Schedule | None, name: str) -> Schedule | None:
    """The schedule as its log says, with the bookkeeping of its row; ``None`` without a log."""
    folded = fold_schedule(tables.schedule_history(name))
    return None if folded is None else with_bookkeeping(folded, row)


def _difference(name: str, tables: ScheduleTables) -> str | None:
    """How the row of a schedule differs from its log; ``None`` if it does not."""
    row = tables.schedule(name)
    folded = folded_schedule(tables, row, name)
    return None if row == folded else difference("schedule", name, row, folded)


def _correct(name: str, tx: Transaction) -> None:
    folded = folded_schedule(tx, tx.schedule(name), name)
    if folded is None:
        tx.delete_schedule(name)
    else:
        tx.write_schedule(folded, None)
