"""Charts: what happened in a span of time, and how many steps were in each status meanwhile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from fleet_q.core.activity import MINUTE, seconds_of
from fleet_q.core.lifecycle import STEP_STATUSES, StepStatus
from fleet_q.core.queue_stats import COUNTED
from fleet_q.services.past.blocks import DAY, HOUR, Block, Pair, add_all, blocks_of
from fleet_q.services.past.timeline import Counts, Timeline

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
    def of(cls, spans: Mapping[int, int]) -> Percentiles:
        """The percentiles of so many lengths of time of each class."""
        return cls(
            sum(spans.values()), *(percentile(spans, part) for part in (0.5, 0.9, 0.95, 0.99))
        )


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
    events: dict[str, int] = field(default_factory=dict)
    waits: dict[int, int] = field(default_factory=dict)
    runs: dict[int, int] = field(default_factory=dict)


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
    blocks = (
        timeline.between(begin, until)
        if width >= timeline.width_at(begin)
        else blocks_of(timeline.minutes(begin, until), MINUTE)
    )

    def is_shown(pair: Pair) -> bool:
        return queue in (None, pair[0]) and task_type in (None, pair[1])

    intervals = [_Totals() for _ in range(number)]
    whole = _Totals()
    types: defaultdict[Pair, _Totals] = defaultdict(_Totals)
    errors: dict[tuple[Pair, str, bool], int] = {}
    nets: list[list[Block]] = [[] for _ in range(number)]
    for block in blocks:
        place = min((block.start - begin) // width, number - 1)
        interval = intervals[place]
        nets[place].append(block)
        for (pair, kind), count in block.events.items():
            if is_shown(pair):
                add_all(interval.events, {kind: count})
                add_all(types[pair].events, {kind: count})
        for pair in {*block.waits, *block.runs}:
            if is_shown(pair):
                of_type = types[pair]
                waits, runs = block.waits.get(pair, {}), block.runs.get(pair, {})
                add_all(interval.waits, waits)
                add_all(of_type.waits, waits)
                add_all(interval.runs, runs)
                add_all(of_type.runs, runs)
        add_all(errors, {key: n for key, n in block.errors.items() if is_shown(key[0])})
    for of_type in types.values():
        add_all(whole.waits, of_type.waits)
        add_all(whole.runs, of_type.runs)
    known = STEP_STATUSES if queue is None and task_type is None else COUNTED
    return Charts(
        since=begin,
        until=until,
        width=width,
        times=[min(begin + width * (place + 1), until) for place in range(number)],
        statuses=_statuses(counts, nets, known, is_shown),
        events={kind: [each.events.get(kind, 0) for each in intervals] for kind in EVENTS},
        waits=Percentiles.of(whole.waits),
        runs=Percentiles.of(whole.runs),
        wait_p50=[percentile(each.waits, 0.5) for each in intervals],
        wait_p95=[percentile(each.waits, 0.95) for each in intervals],
        run_p50=[percentile(each.runs, 0.5) for each in intervals],
        run_p95=[percentile(each.runs, 0.95) for each in intervals],
        errors=_errors(errors),
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


def percentile(spans: Mapping[int, int], part: float) -> float | None:
    """The seconds that this part of the lengths of time does not exceed, to about a tenth."""
    left = sum(spans.values()) * part
    for span in sorted(spans):
        left -= spans[span]
        if left <= 0:
            return seconds_of(span)
    return None


def _statuses(
    counts: Counts,
    blocks: list[list[Block]],
    known: Sequence[StepStatus],
    is_shown: Callable[[Pair], bool],
) -> dict[StepStatus, list[int]]:
    """The steps in each status at the ends of the intervals, of which the last is that of
    ``counts``."""
    numbers = dict(counts.statuses)
    if known is COUNTED:
        shown = [of_type for pair, of_type in counts.types.items() if is_shown(pair)]
        numbers = {status: sum(of_type[status] for of_type in shown) for status in STEP_STATUSES}
    series: dict[StepStatus, list[int]] = {status: [] for status in known}
    for of_interval in reversed(blocks):
        for status, values in series.items():
            values.append(numbers[status])
        for block in of_interval:
            for (pair, status), number in block.net.items():
                if is_shown(pair):
                    numbers[status] -= number
    return {status: values[::-1] for status, values in series.items()}


def _errors(numbers: Mapping[tuple[Pair, str, bool], int]) -> list[ErrorCount]:
    found: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for ((_, task_type), error, is_retried), number in numbers.items():
        found[error, task_type][is_retried] += number
    errors = [
        ErrorCount(error, task_type or None, failed, retried)
        for (error, task_type), (failed, retried) in found.items()
    ]
    return sorted(errors, key=lambda e: (-(e.failed + e.retried), e.error, e.task_type or ""))


def _type_chart(queue: str, task_type: str, totals: _Totals) -> TypeChart:
    events = totals.events
    return TypeChart(
        queue,
        task_type or None,
        submitted=events.get("submitted", 0),
        completed=events.get("completed", 0),
        failed=events.get("failed", 0),
        retried=events.get("retried", 0),
        waits=Percentiles.of(totals.waits),
        runs=Percentiles.of(totals.runs),
    )
