"""Charts: what happened in a span of time, and how many steps were in each status meanwhile."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from fleet_q.core.activity import MINUTE, Activity, seconds_of
from fleet_q.core.lifecycle import STEP_STATUSES, StepStatus
from fleet_q.core.queue_stats import COUNTED
from fleet_q.services.past.blocks import DAY, HOUR
from fleet_q.services.past.timeline import Counts, Timeline, undo

EVENTS: Final = (
    "submitted", "claimed", "completed", "failed", "retried", "recovered", "released", "snoozed",
    "cancelled",
)  # fmt: skip
"""The events that charts count."""


WIDTHS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440)
"""Widths of intervals in minutes; those from 15 on consist of blocks of 15 minutes, and so on."""

SHORT: Final = 2 * HOUR
"""Spans of time up to this are shown by minutes, however long ago."""


@dataclass(frozen=True)
class Percentiles:
    """How long something took, in seconds, to about a tenth; ``None``: it never happened."""

    count: int
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None

    @classmethod
    def of(cls, spans: Counter[int]) -> Percentiles:
        """The percentiles of so many lengths of time of each class."""
        return cls(spans.total(), *(percentile(spans, part) for part in (0.5, 0.9, 0.95, 0.99)))


@dataclass(frozen=True)
class ErrorCount:
    """How many attempts of a task type ended with errors of one class: for good, or not."""

    error: str
    task_type: str | None
    failed: int
    retried: int


@dataclass(frozen=True)
class TypeChart:
    """What happened to the steps of a task type of a queue."""

    queue: str
    task_type: str | None
    submitted: int
    completed: int
    failed: int
    retried: int
    waits: Percentiles
    runs: Percentiles


@dataclass(frozen=True)
class Charts:
    """What happened from ``since`` to ``until``, in intervals of ``width`` microseconds, of which
    ``times`` are the ends; the last one may be shorter.

    ``statuses`` are how many steps were in each status at those times, ``events`` how often
    something happened in each interval. ``waits`` are how long steps waited from when they could
    be claimed until they were, ``runs`` how long claims took; ``wait_p50`` to ``run_p95`` are their
    percentiles in each interval.
    """

    since: int
    until: int
    width: int
    times: list[int]
    statuses: dict[StepStatus, list[int]]
    events: dict[str, list[int]]
    waits: Percentiles
    runs: Percentiles
    wait_p50: list[float | None]
    wait_p95: list[float | None]
    run_p50: list[float | None]
    run_p95: list[float | None]
    errors: list[ErrorCount]
    types: list[TypeChart]


@dataclass
class _Totals:
    events: Counter[str] = field(default_factory=Counter)
    waits: Counter[int] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)

    def add(self, change: Activity) -> None:
        self.events[change.type] += change.number
        if change.span is not None:
            spans = self.waits if change.type == "claimed" else self.runs
            spans[change.span] += change.number


def charts(
    timeline: Timeline,
    since: int,
    until: int,
    points: int,
    queue: str | None = None,
    task_type: str | None = None,
) -> Charts:
    """The charts of a span of time, with about so many points."""
    counts = timeline.at(until)
    width = _width((until - since) // points, timeline.width_at(since), until - since)
    begin = since // width * width
    number = max(1, -(-(until - begin) // width))
    read = timeline.between if width >= timeline.width_at(begin) else timeline.minutes

    def is_shown(change: Activity) -> bool:
        return queue in (None, change.queue) and task_type in (None, change.task_type)

    shown = [change for change in read(begin, until) if is_shown(change)]
    intervals = [_Totals() for _ in range(number)]
    whole = _Totals()
    types: defaultdict[tuple[str, str], _Totals] = defaultdict(_Totals)
    changes: list[list[Activity]] = [[] for _ in range(number)]
    for change in shown:
        place = min((change.minute * MINUTE - begin) // width, number - 1)
        changes[place].append(change)
        for totals in (intervals[place], whole, types[change.queue, change.task_type]):
            totals.add(change)
    known = STEP_STATUSES if queue is None and task_type is None else COUNTED
    return Charts(
        since=begin,
        until=until,
        width=width,
        times=[min(begin + width * (place + 1), until) for place in range(number)],
        statuses=_statuses(_selected(counts, queue, task_type), changes, known),
        events={kind: [each.events[kind] for each in intervals] for kind in EVENTS},
        waits=Percentiles.of(whole.waits),
        runs=Percentiles.of(whole.runs),
        wait_p50=[percentile(each.waits, 0.5) for each in intervals],
        wait_p95=[percentile(each.waits, 0.95) for each in intervals],
        run_p50=[percentile(each.runs, 0.5) for each in intervals],
        run_p95=[percentile(each.runs, 0.95) for each in intervals],
        errors=_errors(shown),
        types=[_type_chart(*pair, totals) for pair, totals in sorted(types.items())],
    )


def _width(least: int, known: int, span: int) -> int:
    """The width of the intervals: at least so much, and, unless the span is short, no less than
    that of what is known of its beginning."""
    if span > SHORT:
        least = max(least, known)
    for minutes in WIDTHS:
        if minutes * MINUTE >= least:
            return minutes * MINUTE
    return -(-least // DAY) * DAY


def percentile(spans: Counter[int], part: float) -> float | None:
    """The seconds that this part of the lengths of time does not exceed, to about a tenth."""
    left = spans.total() * part
    for span in sorted(spans):
        left -= spans[span]
        if left <= 0:
            return seconds_of(span)
    return None


def _selected(counts: Counts, queue: str | None, task_type: str | None) -> Counts:
    if queue is None and task_type is None:
        return counts
    total: Counter[StepStatus] = Counter()
    for pair, of_type in counts.types.items():
        if queue in (None, pair[0]) and task_type in (None, pair[1]):
            total.update(of_type)
    statuses = {status: total[status] for status in STEP_STATUSES}
    return Counts(counts.at, statuses, counts.types)


def _statuses(
    end: Counts, changes: list[list[Activity]], known: Iterable[StepStatus]
) -> dict[StepStatus, list[int]]:
    """The steps in each status at the ends of the intervals, of which ``end`` is the last."""
    series: dict[StepStatus, list[int]] = {status: [] for status in known}
    for of_interval in reversed(changes):
        for status, numbers in series.items():
            numbers.append(end.statuses[status])
        for change in of_interval:
            undo(end, change)
    return {status: numbers[::-1] for status, numbers in series.items()}


def _errors(changes: Iterable[Activity]) -> list[ErrorCount]:
    numbers: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for change in changes:
        if change.error is not None:
            kind = "retried" if change.type == "retried" else "failed"
            numbers[change.error, change.task_type][kind] += change.number
    errors = [
        ErrorCount(error, task_type or None, of_error["failed"], of_error["retried"])
        for (error, task_type), of_error in numbers.items()
    ]
    return sorted(errors, key=lambda e: (-(e.failed + e.retried), e.error, e.task_type or ""))


def _type_chart(queue: str, task_type: str, totals: _Totals) -> TypeChart:
    events = totals.events
    return TypeChart(
        queue,
        task_type or None,
        submitted=events["submitted"],
        completed=events["completed"],
        failed=events["failed"],
        retried=events["retried"],
        waits=Percentiles.of(totals.waits),
        runs=Percentiles.of(totals.runs),
    )
