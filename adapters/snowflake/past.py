"""What happened in a Snowflake store, in order of time. Each page is one query."""

from __future__ import annotations

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls
from fleet_q.core import log
from fleet_q.core.log import LogEntry, LogFilter, LogPage


def log_page(calls: Calls, selected: LogFilter, limit: int, cursor: str | None) -> LogPage:
    """See :meth:`fleet_q.core.ports.Store.log`."""
    place = (None, None, None, None) if cursor is None else log.to_place(cursor)
    found = calls.query(
        "log_newest" if selected.newest_first else "log",
        **rows.log_values(selected),
        since=selected.since,
        until=selected.until,
        step_id=selected.step_id,
        streams=rows.encode(selected.kinds),
        cursor_ts=place[0],
        cursor_stream=place[1],
        cursor_name=place[2],
        cursor_version=place[3],
        limit=limit,
    )
    entries = [
        LogEntry(at, stream, name, int(version), *rest)
        for _, at, stream, name, version, *rest in found
        if at is not None
    ]
    return log.page(found[0][0], entries, limit, newest_first=selected.newest_first)
