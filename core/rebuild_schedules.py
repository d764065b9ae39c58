"""Compare schedules with their log, and correct the rows that differ."""

from __future__ import annotations

from msgspec.structs import replace

from fleet_q.core.errors import FleetQError, UnknownToThisVersion
from fleet_q.core.ports import Database, RebuildReport, Transaction
from fleet_q.core.schedules import Schedule, fold_schedule, with_bookkeeping


def with_schedules(
    report: RebuildReport, tx: Transaction, database: Database, *, check: bool
) -> RebuildReport:
    """The report with the schedules whose rows differ from their log in the snapshot ``tx``. Unless
    ``check``, the rows are corrected; those with an inconsistent log are left alone."""
    reasons: dict[str, str] = {}
    inconsistent: list[str] = []
    logged = dict.fromkeys(event.schedule for event in tx.schedule_events())
    for name in sorted({*logged, *(row.schedule for row in tx.schedules())}):
        try:
            reason = _difference(name, tx)
        except UnknownToThisVersion:
            raise
        except FleetQError as error:
            inconsistent.append(str(error))
            continue
        if reason is not None:
            reasons[name] = reason
    if reasons and not check:
        with database.write() as writing:
            for name in reasons:
                _correct(name, writing)
    return replace(
        report,
        differing_schedules=tuple(reasons),
        reasons=(*report.reasons, *reasons.values()),
        inconsistent=(*report.inconsistent, *inconsistent),
    )


def _folded(name: str, tx: Transaction) -> Schedule | None:
    folded = fold_schedule(tx.schedule_history(name))
    return None if folded is None else with_bookkeeping(folded, tx.schedule(name))


def _difference(name: str, tx: Transaction) -> str | None:
    """How the row of a schedule differs from its log; ``None`` if it does not."""
    row, folded = tx.schedule(name), _folded(name, tx)
    if row == folded:
        return None
    if folded is None:
        return f"schedule {name!r} has a row but no events: nothing of FLEET-Q has written it"
    if row is None:
        return f"schedule {name!r} has events but no row"
    columns = [c for c in row.__struct_fields__ if getattr(row, c) != getattr(folded, c)]
    return f"schedule {name!r} differs from its events in {', '.join(columns)}"


def _correct(name: str, tx: Transaction) -> None:
    folded = _folded(name, tx)
    if folded is None:
        tx.delete_schedule(name)
    else:
        tx.write_schedule(folded, None)
