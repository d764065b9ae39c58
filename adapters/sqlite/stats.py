"""The steps of each queue and task type in a SQLite file, and how many of them ended lately.

There is no index of completed steps, which every completion would have to update. Those that were
completed lately are at the end of the table, whose rows are in the order of their submission, or
before the steps that are claimed and those that wait, because steps are claimed in about that
order. So a bounded number of rows before these places is read, however long the history is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from statistics import median_low
from typing import Final

from fleet_q.core.queue_stats import StepGroup

MOST_SEARCHED: Final = 20_000
"""Rows that are read to find completed steps, shared by the places."""

MOST_PLACES: Final = 50
"""Places that are searched, at most: the latest ones."""

AFTER_LAST: Final = 2**63 - 1
"""A place that no row has reached."""

TAIL: Final = 100
"""How many of the last steps that a search found say how far back in time it came, in the middle:
among them may be some that waited for long, or were tried again."""

Run = Callable[..., sqlite3.Cursor]


def groups_of_steps(run: Run, at: int, window: int) -> tuple[int, list[StepGroup]]:
    """When the window began, and the steps that :class:`QueueStats` counts. It began later than
    ``window`` microseconds ago if the rows that are read do not reach so far. ``run`` runs a
    statement."""
    groups: list[StepGroup] = []
    places: list[int] = []
    for queue, task_type, number, created, available, place in run("queued_by_type"):
        oldest = created
        if available > created:
            values = {"queue": queue, "task_type": task_type, "before": available}
            oldest = run("queued_longest", values).fetchone()[0]
        groups.append(StepGroup(queue, task_type, "pending", number, oldest=oldest))
        places.append(place)
    for queue, task_type, number, delayed, oldest in run("delayed_by_type", {"now": at}):
        groups.append(StepGroup(queue, task_type, "pending", number, delayed, oldest))
    for queue, task_type, number in run("waiting_by_type"):
        groups.append(StepGroup(queue, task_type, "waiting", number))
    for queue, task_type, number, place in run("claimed_by_type"):
        groups.append(StepGroup(queue, task_type, "claimed", number))
        places.append(place)
    since, completed = _completed(run, places, at - window)
    groups += completed
    for queue, task_type, *numbers in run("failed_by_type", {"since": since}):
        number, recent, first = numbers
        groups.append(
            StepGroup(queue, task_type, "failed", number, recent=recent, first_recent=first)
        )
    return since, groups


def _completed(run: Run, places: Iterable[int], since: int) -> tuple[int, list[StepGroup]]:
    """When the window begins that the search has reached, and the steps completed in it."""
    ends = sorted({AFTER_LAST, *places}, reverse=True)[:MOST_PLACES]
    left = MOST_SEARCHED
    found: list[tuple[str, str, int]] = []
    reached = since
    for number, before in enumerate(ends, start=1):
        after = ends[number] - 1 if number < len(ends) else 0
        most = left // (len(ends) - number + 1)
        rows = {"before": before, "after": after}
        first, searched = run("rows_before", {**rows, "most": most}).fetchone()
        left -= searched
        if not searched:
            continue
        steps = run("completed_since", {**rows, "after": first - 1, "since": since}).fetchall()
        found += steps
        if searched == most and steps:
            reached = max(reached, median_low(time for _, _, time in steps[-TAIL:]))
    times: dict[tuple[str, str], list[int]] = {}
    for queue, task_type, time in found:
        if time >= reached:
            times.setdefault((queue, task_type), []).append(time)
    groups = [
        StepGroup(*pair, "completed", len(ended), recent=len(ended), first_recent=min(ended))
        for pair, ended in times.items()
    ]
    return reached, groups
