"""What happened in a SQLite file, in order of time.

The log is ordered by steps. With an index of its times, which is made on demand, only the steps are
read that changed in a span of time; without it, all are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from fleet_q.adapters import rows
from fleet_q.core import activity, attempts, log
from fleet_q.core.activity import ActivityPage
from fleet_q.core.attempts import AttemptList
from fleet_q.core.briefs import Brief
from fleet_q.core.log import LogEntry, LogFilter, LogPage

EVENTS_OF_PAGE: Final = 20_000
"""Changes that one page counts, at most, if there is an index."""

STEPS_OF_PAGE: Final = 10_000
"""Steps that one page reads, at most, if there is none."""

Stream = Callable[[str, dict[str, Any]], Iterator[Sequence[Any]]]


def briefs(events: Iterable[Sequence[Any]]) -> Iterator[Brief]:
    """The briefs of these rows."""
    return map(Brief._make, events)


def activity_page(
    stream: Stream, is_indexed: bool, since: int, until: int, cursor: str | None
) -> ActivityPage:
    """See :meth:`fleet_q.core.ports.Transaction.activity`. ``stream`` reads the rows of a
    statement."""
    if not is_indexed:
        return _page_of_steps(stream, since, until, cursor)
    begin = since if cursor is None else int(cursor)
    values = {"since": begin, "number": EVENTS_OF_PAGE}
    end = next((row[0] for row in stream("time_of_event", values)), until)
    end = min(max(end, begin + 1), until)
    events = stream("briefs_of_changed", {"since": begin, "until": end})
    changes = tuple(activity.count(briefs(events), begin, end))
    progress = (end - since) / (until - since)
    return ActivityPage(changes, str(end) if end < until else None, progress)


def _page_of_steps(stream: Stream, since: int, until: int, cursor: str | None) -> ActivityPage:
    done, _, after = (cursor or "0 ").partition(" ")
    values = {"after": after, "limit": STEPS_OF_PAGE}
    last, number = next(stream("next_steps", values))
    changes = tuple(activity.count(briefs(stream("briefs_after", values)), since, until))
    if number < STEPS_OF_PAGE:
        return ActivityPage(changes)
    so_far = int(done) + number
    total = max(so_far, next(stream("last_place", {}))[0])
    return ActivityPage(changes, f"{so_far} {last}", so_far / total)


def attempt_list(stream: Stream, since: int, until: int, limit: int) -> AttemptList:
    """See :meth:`fleet_q.core.ports.Transaction.attempts`. There is an index."""
    most = limit * attempts.EVENTS_READ
    values = {"since": since, "until": until, "look_ahead": attempts.LOOK_AHEAD, "most": most}
    events = briefs(stream("briefs_of_attempts", values))
    next_ts = next((row[0] for row in stream("time_of_event", {**values, "number": most})), until)
    return attempts.list_of(events, since, until, limit, is_cut=next_ts < until)


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
