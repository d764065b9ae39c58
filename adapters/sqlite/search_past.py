"""Lists of steps of a SQLite file as they were at a moment, page by page.

A step that has not changed since then is as its row. Of the others, the events tell. So a page
reads few of them, and looks at a bounded number of rows: see
:mod:`fleet_q.adapters.sqlite.search`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from fleet_q.adapters import rows
from fleet_q.adapters.sqlite.search import AFTER_LAST, Run, filter_values, places_among
from fleet_q.core import past
from fleet_q.core.events import StepEvent
from fleet_q.core.search import StepFilter, StepList, StepSummary

MOST_SEARCHED: Final = 20_000
"""Rows that one page looks at, at most, if no index says which ones."""

MOST_FOLDED: Final = 500
"""Steps whose events one page reads, at most."""


def steps_at(
    run: Run, at: int, moment: int, step_filter: StepFilter, limit: int, cursor: str | None
) -> StepList:
    """See :meth:`fleet_q.core.ports.Transaction.steps_at`. ``run`` runs a statement."""
    before = _place_after(run, moment) if cursor is None else int(cursor)
    most = MOST_FOLDED + limit
    values = {**filter_values(step_filter), "moment": moment, "before": before, "limit": most}
    places = places_among(run, replace(step_filter, statuses=()))
    if places is not None:
        found = run("list_among_at", {**values, "places": rows.encode(places)}).fetchall()
        rest, searched = None, len(places)
    else:
        window = {"before": before, "most": MOST_SEARCHED}
        first, searched, _ = run("latest_window", window).fetchone()
        found = run("list_latest_at", {**values, **window}).fetchall()
        rest = first if searched == MOST_SEARCHED else None
    if len(found) == most:
        rest = found[-1][0]

    def events(step_ids: list[str]) -> Iterator[StepEvent]:
        wanted = {"step_ids": rows.encode(step_ids), "moment": moment}
        return map(rows.to_step_event, run("events_of_steps_until", wanted))

    steps: list[StepSummary] = []
    were = past.as_they_were([StepSummary(*row[1:]) for row in found], moment, events)
    for row, step in zip(found, were, strict=True):
        if step is not None and step_filter.selects(step):
            steps.append(step)
            if len(steps) == limit:
                rest = row[0]
                break
    return StepList(at, tuple(steps), None if rest is None else str(rest), searched)


def _place_after(run: Run, moment: int) -> int:
    """The first place whose step was submitted after the moment, since the order of places is that
    of submissions. If the clock was set back, it may be another one."""

    def row_at(place: int) -> tuple[int, int] | None:
        row: tuple[int, int] | None = run("row_at_place", {"place": place}).fetchone()
        return row

    last = row_at(AFTER_LAST - 1)
    if last is None or last[1] <= moment:
        return AFTER_LAST
    low, high = 0, last[0]  # the step at high was submitted later, those up to low were not
    while high - low > 1:
        middle = (low + high) // 2
        row = row_at(middle)
        if row is None or row[1] <= moment:
            low = middle
        else:
            high = row[0]
    return high
