"""What happened in a SQLite file, in order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fleet_q.adapters import rows
from fleet_q.core import log
from fleet_q.core.log import LogEntry, LogFilter, LogPage

Stream = Callable[[str, dict[str, Any]], Iterator[Sequence[Any]]]


def log_page(
    stream: Stream, at: int, selected: LogFilter, limit: int, cursor: str | None
) -> LogPage:
    """See :meth:`fleet_q.core.ports.Transaction.log`. ``stream`` reads the rows of a statement."""
    order = "_newest" if selected.newest_first else ""
    found: list[LogEntry] = []
    for kind in selected.kinds:
        values = {
            **log.bounds(selected, cursor, kind)._asdict(),
            **rows.log_values(selected),
            "limit": limit,
        }
        if selected.step_id is not None:
            events = stream("log_of_step", {**values, "step_id": selected.step_id})
        else:
            events = stream(f"log_of_{kind}s{order}", values)
        found += (LogEntry(row[0], kind, *row[1:]) for row in events)
    return log.page(at, found, limit, newest_first=selected.newest_first)
