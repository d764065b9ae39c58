"""What happened in a Snowflake store, in order of time, and what its steps were at a moment.

Each page is one query, or two if the steps of a list have changed since then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls
from fleet_q.adapters.snowflake.session import Session
from fleet_q.core import activity, attempts, log, past, search
from fleet_q.core.activity import ActivityPage
from fleet_q.core.attempts import AttemptList
from fleet_q.core.briefs import Brief
from fleet_q.core.events import StepEvent
from fleet_q.core.log import LogEntry, LogFilter, LogPage
from fleet_q.core.search import StepFilter, StepList, StepSummary

MOST_FOLDED: Final = 500
"""Steps whose events one page of a list reads, at most."""


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


def steps_at(
    calls: Calls, moment: int, step_filter: StepFilter, limit: int, cursor: str | None
) -> StepList:
    """See :meth:`fleet_q.core.ports.Store.steps_at`."""
    before_ts, before_id = (None, None) if cursor is None else search.to_place(cursor)
    most = MOST_FOLDED + limit
    found = calls.query(
        "list_steps_at",
        **rows.filter_values(step_filter),
        labels=pattern(step_filter.label_pairs()),
        before_ts=before_ts,
        before_id=before_id,
        moment=moment,
        limit=most,
    )

    def events(step_ids: list[str]) -> Iterator[StepEvent]:
        wanted = {"step_ids": rows.encode(step_ids), "moment": moment}
        return map(rows.to_step_event, calls.query("events_of_steps_until", **wanted))

    summaries = [StepSummary(*row[1:]) for row in found if row[1] is not None]
    steps: list[StepSummary] = []
    last = summaries[-1] if len(summaries) == most else None
    for summary, step in zip(summaries, past.as_they_were(summaries, moment, events), strict=True):
        if step is not None and step_filter.selects(step):
            steps.append(step)
            if len(steps) == limit:
                last = summary
                break
    more = None if last is None else search.to_cursor(last)
    return StepList(found[0][0], tuple(steps), more, len(summaries))


def activity_page(session: Session, since: int, until: int) -> ActivityPage:
    """See :meth:`fleet_q.core.ports.Store.activity`."""
    events = session.stream("briefs_of_changed", since=since, until=until)
    return ActivityPage(tuple(activity.count(map(_brief, events), since, until)))


def attempt_list(session: Session, since: int, until: int, limit: int) -> AttemptList:
    """See :meth:`fleet_q.core.ports.Store.attempts`."""
    most = limit * attempts.EVENTS_READ
    found = list(
        session.stream(
            "briefs_of_attempts",
            since=since,
            until=until,
            look_until=until + attempts.LOOK_AHEAD,
            most=most,
        )
    )
    is_cut = bool(found) and int(found[0][0]) > most
    briefs = (_brief(row[1:]) for row in found)
    return attempts.list_of(briefs, since, until, limit, is_cut=is_cut)


def _brief(row: Sequence[Any]) -> Brief:
    return Brief._make(row)


def pattern(pairs: Sequence[str]) -> str | None:
    """The pattern of ``list_steps.sql`` for steps with all of these pairs of labels."""
    if not pairs:
        return None
    escaped = (re.sub("[%_^]", r"^\g<0>", pair) for pair in pairs)
    return "".join(f"%,{pair}" for pair in escaped) + "%"
