"""Draws series of numbers as the paths of an SVG picture, which pages stretch to their width."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fleet_q.services.dashboard.render import count, duration, when

WIDTH: Final = 1_000
HEIGHT: Final = 100
"""The size of the drawing, in its own units; what shows it decides how large it is."""

_TIMES: Final = (
    15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1_200, 1_800, 2_700, 3_600, 5_400, 7_200,
    10_800, 14_400, 21_600, 43_200, 86_400, 172_800, 345_600, 604_800,
)  # fmt: skip
"""Round numbers of seconds."""

Numbers = Sequence[float | None]


@dataclass(frozen=True)
class Series:
    """A named series: ``tone`` is the class that colours it, ``path`` draws it, ``number`` is what
    its legend says."""

    name: str
    tone: str
    path: str
    number: str


@dataclass(frozen=True)
class Spot:
    """An interval of a chart, and what it says when the pointer is on it."""

    x: float
    width: float
    text: str


@dataclass(frozen=True)
class Row:
    """An interval of a chart in words."""

    time: str
    values: list[str]


@dataclass(frozen=True)
class Chart:
    """A chart. ``kind`` is ``area`` (stacked), ``bars`` (stacked) or ``line``; ``top`` is the
    number at its upper edge, ``begin`` and ``end`` the times at its sides. ``rows`` say the same
    for those who do not see it."""

    title: str
    kind: str
    series: list[Series]
    spots: list[Spot]
    rows: list[Row]
    top: str
    begin: str
    middle: str
    end: str
    is_empty: bool

    @property
    def summary(self) -> str:
        """The chart in one sentence."""
        if self.is_empty:
            return f"{self.title}: nothing from {self.begin} to {self.end}"
        numbers = ", ".join(f"{each.name} {each.number}" for each in self.series)
        return f"{self.title} from {self.begin} to {self.end}: {numbers}"


def chart(
    title: str,
    kind: str,
    begin: int,
    times: Sequence[int],
    series: Sequence[tuple[str, str, Numbers]],
    *,
    is_time: bool = False,
    wholes: Sequence[float | None] | None = None,
) -> Chart:
    """Draw ``series``, of name, tone and numbers, one for each interval that ends at ``times``;
    the first one begins at ``begin``. With ``is_time``, the numbers are seconds. ``wholes`` are the
    numbers of the whole time; without them, the last ones stand for each series."""
    write = duration if is_time else count
    is_stacked = kind != "line"
    lines = [[number or 0.0 for number in numbers] for _, _, numbers in series]
    totals = [sum(column) for column in zip(*lines, strict=True)] if is_stacked else []
    highest = max(totals if is_stacked else [n for line in lines for n in line], default=0.0)
    top = nice(highest, is_time=is_time)
    edges = [begin, *times]
    length = max(1, edges[-1] - begin)
    xs = [WIDTH * (edge - begin) / length for edge in edges]
    floor = [0.0] * len(times)
    drawn: list[Series] = []
    for (name, tone, numbers), line in zip(series, lines, strict=True):
        if kind == "line":
            path = _line(xs, numbers, top)
        else:
            ceiling = [low + number for low, number in zip(floor, line, strict=True)]
            draw = _bars if kind == "bars" else _area
            path = draw(xs, floor, ceiling, top)
            floor = ceiling
        of_all = wholes[len(drawn)] if wholes is not None else numbers[-1] if numbers else None
        drawn.append(Series(name, tone, path, write(of_all)))
    rows = [
        Row(_short(end, length), [write(numbers[place]) for _, _, numbers in series])
        for place, end in enumerate(times)
    ]
    names = [name for name, _, _ in series]
    spots = [
        Spot(
            round(left, 1),
            round(right - left, 1),
            f"{row.time}: " + ", ".join(f"{n} {v}" for n, v in zip(names, row.values, strict=True)),
        )
        for left, right, row in zip(xs, xs[1:], rows, strict=False)
    ]
    return Chart(
        title,
        kind,
        drawn,
        spots,
        rows,
        write(top),
        _short(begin, length),
        _short(begin + length // 2, length),
        _short(edges[-1], length),
        not any(any(line) for line in lines),
    )


def nice(number: float, *, is_time: bool = False) -> float:
    """The next round number, for the upper edge of a chart."""
    if number <= 0:
        return 1.0
    if is_time and number > 10:
        return next((edge for edge in _TIMES if number <= edge), number)
    if not is_time and number <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(number))
    for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10):
        if number <= factor * power * (1 + 1e-9) and (is_time or factor * power % 1 == 0):
            return factor * power
    return math.ceil(number)


def _short(micros: int, length: int) -> str:
    """A time as short as a chart of this length needs."""
    text = when(micros)
    return text[11:16] if length <= 86_400_000_000 else text[5:16]


def _y(number: float, top: float) -> float:
    return round(HEIGHT * (1 - number / top), 2)


def _area(xs: Sequence[float], low: Numbers, high: Numbers, top: float) -> str:
    """The area between two series, of which each number stands at the end of its interval."""
    ends = xs[1:]
    if not ends:
        return ""
    above = [f"{x:.1f},{_y(n or 0.0, top)}" for x, n in zip(ends, high, strict=True)]
    below = [f"{x:.1f},{_y(n or 0.0, top)}" for x, n in zip(ends, low, strict=True)]
    first = [f"0,{_y(low[0] or 0.0, top)}", f"0,{_y(high[0] or 0.0, top)}"]
    return "M" + "L".join([*first, *above, *reversed(below)]) + "Z"


def _bars(xs: Sequence[float], low: Numbers, high: Numbers, top: float) -> str:
    parts = []
    for left, right, bottom, upper in zip(xs, xs[1:], low, high, strict=False):
        if upper == bottom:
            continue
        gap = min(1.5, (right - left) / 5)
        y, base = _y(upper or 0.0, top), _y(bottom or 0.0, top)
        parts.append(f"M{left + gap:.1f},{base}V{y}H{right - gap:.1f}V{base}Z")
    return "".join(parts)


def _line(xs: Sequence[float], numbers: Numbers, top: float) -> str:
    """A line through the middles of the intervals that have a number; others interrupt it."""
    parts, is_drawing = [], False
    for left, right, number in zip(xs, xs[1:], numbers, strict=False):
        if number is None:
            is_drawing = False
            continue
        x, y = (left + right) / 2, _y(number, top)
        parts.append(f"{'L' if is_drawing else 'M'}{x:.1f},{y}" + ("" if is_drawing else "h.1"))
        is_drawing = True
    return "".join(parts)
