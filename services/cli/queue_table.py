"""The table of ``fleet-q queue``: the steps of each queue and task type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.services.app.moments import age
from fleet_q.services.app.queue_stats import QueueStatsView, TypeStatsView
from fleet_q.services.cli.output import padded, shortened
from fleet_q.services.worker.escapes import one_line

SHORTEST_NAME: Final = 5
"""Cells that the name of a queue or of a task type keeps when it is shortened."""


class _Column(NamedTuple):
    head: str
    value: Callable[[TypeStatsView], object]


_NAMES: Final = (
    _Column("queue", lambda row: row.queue),
    _Column("type", lambda row: row.task_type or "-"),
)
_WAITING: Final = _Column("waiting", lambda row: row.waiting)
_NUMBERS: Final = (
    _Column("pending", lambda row: row.pending),
    _Column("delayed", lambda row: row.delayed),
    _WAITING,
    _Column("claimed", lambda row: row.claimed),
    _Column("dead", lambda row: row.failed),
    _Column("oldest", lambda row: "-" if row.oldest_age is None else age(row.oldest_age)),
    _Column("done", lambda row: row.completed_lately),
    _Column("failed", lambda row: row.failed_lately),
    _Column("left", lambda row: _left(row)),
)


def report(stats: QueueStatsView, width: float) -> list[Text]:
    """Return the lines with the number of steps in each status and, if there are any, of rows of
    the inbox, and with the table below them."""
    totals = [(str(status), getattr(stats, status)) for status in STEP_STATUSES]
    if stats.inbox:
        totals.append(("inbox", stats.inbox))
    names = max(cell_len(name) for name, _ in totals) + 2
    lines = [
        Text(padded(name, names), style="bold").append(str(number), style="not bold")
        for name, number in totals
    ]
    if stats.queues:
        lines += [Text(), *table(stats, width), Text(caption(stats))]
    return lines


def table(stats: QueueStatsView, width: float) -> list[Text]:
    """Return the lines of the table. Names are shortened as far as ``width`` cells require. The
    column of steps that wait for others is there if any do."""
    some_wait = any(row.waiting for row in stats.queues)
    columns = [column for column in _NUMBERS if some_wait or column is not _WAITING]
    names = [[column.head for column in _NAMES]]
    numbers = [[column.head for column in columns]]
    for row in stats.queues:
        names.append([one_line(str(column.value(row))) for column in _NAMES])
        numbers.append([str(column.value(row)) for column in columns])
    number_widths = _widths(numbers)
    room = width - sum(number_widths)
    gap = 2 if sum(_widths(names)) + 2 * len(number_widths) + 2 <= room else 1
    name_widths = _fitted(_widths(names), room - gap * len(number_widths) - 2)
    lines = []
    for place, (texts, values) in enumerate(zip(names, numbers, strict=True)):
        first, second = (
            padded(shortened(text, size), size)
            for text, size in zip(texts, name_widths, strict=True)
        )
        line = f"{first}  {second}"
        for value, size in zip(values, number_widths, strict=True):
            line += " " * (gap + size - cell_len(value)) + value
        lines.append(Text(line, style="" if place else "bold"))
    return lines


def caption(stats: QueueStatsView) -> str:
    """Return the line that says what the columns ``done`` and ``failed`` count."""
    return f"done, failed: in the last {age(stats.window)}; left: at their rate"


def _left(row: TypeStatsView) -> str:
    """How long the steps that are due take, or why that is not known."""
    if row.unserved:
        return "unserved"
    if row.paused:
        return "paused"
    if row.time_left is None:
        return "unknown"
    return age(row.time_left) if row.time_left else "-"


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]


def _fitted(widths: Sequence[int], room: float) -> list[int]:
    """The widths of the names, of which the wider is reduced until they fit."""
    fitted = list(widths)
    while sum(fitted) > room and max(fitted) > SHORTEST_NAME:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted
