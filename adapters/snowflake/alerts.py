"""Reads and writes alerts."""

from __future__ import annotations

from msgspec.structs import astuple

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls
from fleet_q.core.alerts import Alert, AlertList


def read_alerts(calls: Calls) -> AlertList:
    """See :meth:`fleet_q.core.ports.Store.alerts`."""
    found = calls.query("alerts")
    alerts = tuple(rows.to_alert(row[1:]) for row in found if row[1] is not None)
    return AlertList(found[0][0], alerts)


def write_alert(calls: Calls, before: Alert | None, after: Alert | None) -> bool:
    """See :meth:`fleet_q.core.ports.Store.write_alert`. It is not repeated if its answer is lost:
    the next look reads what became of it."""
    row = after or before
    assert row is not None
    answer = calls.session.call(
        "write_alert",
        alert=row.alert,
        expected_version=0 if before is None else before.version,
        alerts=rows.encode([] if after is None else [astuple(after)]),
    )
    return int(answer[0][0]) > 0
