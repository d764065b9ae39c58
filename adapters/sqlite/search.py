"""Lists of steps in a SQLite file, page by page.

Rows are in the order of their submission, which needs no index. A page looks at a bounded number of
rows, so it takes milliseconds however long the history is. If few steps are of the wanted workflow,
or of any, have a wanted status, or an id that begins as wanted, an index says which ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from fleet_q.adapters import rows
from fleet_q.core.search import StepFilter, StepList, StepSummary

MOST_SEARCHED: Final = 5_000
"""Rows that one page looks at, at most, if no index says which ones."""

MOST_INDEXED: Final = 20_000
"""Entries of an index that a page reads at most; if there are more, it looks at the latest rows."""

AFTER_LAST: Final = 2**63 - 1
"""A cursor that no row has reached."""

Run = Callable[[str, dict[str, Any]], sqlite3.Cursor]


def list_steps(
    run: Run, at: int, step_filter: StepFilter, limit: int, cursor: str | None
) -> StepList:
    """See :meth:`fleet_q.core.ports.Transaction.list_steps`. ``run`` runs a statement."""
    before = AFTER_LAST if cursor is None else int(cursor)
    values = {**filter_values(step_filter), "before": before, "limit": limit}
    places = places_among(run, step_filter)
    if places is not None:
        found = run("list_among", {**values, "places": rows.encode(places)}).fetchall()
        more = found[-1][0] if len(found) == limit else None
        return _page(at, found, more, len(places))
    window = {"before": before, "most": MOST_SEARCHED}
    first, searched, latest = run("latest_window", window).fetchone()
    found = run("list_latest", {**values, **window}).fetchall()
    if len(found) == limit:
        return _page(at, found, found[-1][0], searched)
    is_too_old = latest is not None and latest < (step_filter.submitted_from or 0)
    has_more = searched == MOST_SEARCHED and not is_too_old
    return _page(at, found, first if has_more else None, searched)


def _page(at: int, found: list[Any], more: int | None, searched: int) -> StepList:
    steps = tuple(StepSummary(*row[1:]) for row in found)
    return StepList(at, steps, None if more is None else str(more), searched)


def places_among(run: Run, step_filter: StepFilter) -> list[int] | None:
    """The rows among which the steps are; ``None`` if no index tells few enough."""
    queries: list[tuple[str, dict[str, Any]]] = []
    if step_filter.workflow_id is not None:
        queries.append(("places_of_workflow", {"workflow_id": step_filter.workflow_id}))
    if step_filter.statuses and "completed" not in step_filter.statuses:
        statuses = rows.encode(step_filter.statuses)
        queries.append(("places_of_statuses", {"statuses": statuses}))
    if step_filter.id_prefix:
        queries.append(("places_of_ids", {"id_prefix": step_filter.id_prefix}))
    if step_filter.in_workflow:
        queries.append(("places_in_workflows", {}))
    for name, values in queries:
        places = [row[0] for row in run(name, {**values, "limit": MOST_INDEXED + 1})]
        if len(places) <= MOST_INDEXED:
            return places
    return None


def filter_values(step_filter: StepFilter) -> dict[str, Any]:
    """The conditions of a filter as values of a statement."""
    return {
        **rows.filter_values(step_filter),
        "labels": rows.encode(["," + pair for pair in step_filter.label_pairs()]),
    }
