"""What the picture of the pods shows of each: a lane with its stays, its attempts and its lead.

Places along a lane are percentages of its width, so that it fits every window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fleet_q.core.retry import MICROS
from fleet_q.services.past import AttemptView, Lane, Lanes

ROW: Final = 12
"""The height of the attempts of a lane that do not overlap, in pixels."""

MOST_ROWS: Final = 16
"""Attempts beyond share the last row: a pod with many slots would fill the page."""

NARROWEST: Final = 0.25
"""The width of a short attempt, in percent, so that it is seen."""

TICKS: Final = 6
_STEPS: Final = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800, 604_800,
)  # fmt: skip
"""The seconds between two ticks of the axis."""


@dataclass(frozen=True)
class Tick:
    """A time on the axis."""

    x: float
    text: str


@dataclass(frozen=True)
class Part:
    """A part of a lane from ``x`` on."""

    x: float
    width: float


@dataclass(frozen=True)
class Bar:
    """An attempt in a lane, ``top`` pixels from its upper edge."""

    attempt: AttemptView
    x: float
    width: float
    top: int


@dataclass(frozen=True)
class DrawnLane:
    """The lane of a pod: when it was there and asleep, what ran, when it led, and when it was
    declared dead."""

    pod_id: str
    height: int
    stays: list[Part]
    asleep: list[Part]
    bars: list[Bar]
    reigns: list[Part]
    deaths: list[float]
    numbers: dict[str, int]

    @property
    def summary(self) -> str:
        """What the lane shows, in words."""
        words = [f"{number} {how}" for how, number in self.numbers.items()]
        if self.deaths:
            words.append("declared dead")
        return ", ".join(words) or "nothing ran"


@dataclass(frozen=True)
class Picture:
    """The lanes of all pods over one window, and the axis of times."""

    lanes: list[DrawnLane]
    ticks: list[Tick]


class _Scale:
    def __init__(self, since: int, until: int) -> None:
        self._since, self._until = since, until
        self._span = max(1, until - since)

    def x(self, at: int) -> float:
        return round(100 * (min(max(at, self._since), self._until) - self._since) / self._span, 3)

    def part(self, since: int, until: int | None) -> Part | None:
        """The part of a lane between two times, if any of it is in the window."""
        end = self._until if until is None else until
        if end < self._since or since > self._until:
            return None
        x = self.x(since)
        return Part(x, round(self.x(end) - x, 3))

    def parts(self, spans: Iterable[tuple[int, int | None]]) -> list[Part]:
        return [part for since, until in spans if (part := self.part(since, until)) is not None]

    def has(self, at: int) -> bool:
        return self._since <= at <= self._until


def draw(found: Lanes) -> Picture:
    """Draw the lanes of all pods."""
    scale = _Scale(found.since, found.until)
    lanes = []
    for lane in found.lanes:
        reigns = [(r.from_ts, r.to_ts) for r in found.leaders if r.pod_id == lane.pod_id]
        lanes.append(_draw_lane(lane, reigns, scale))
    return Picture(lanes, ticks(found.since, found.until))


def _draw_lane(lane: Lane, reigns: list[tuple[int, int | None]], scale: _Scale) -> DrawnLane:
    bars = []
    numbers: dict[str, int] = {}
    for attempt in lane.attempts:
        part = scale.part(attempt.from_ts, attempt.to_ts)
        if part is None:
            continue
        how = attempt.how or "running"
        numbers[how] = numbers.get(how, 0) + 1
        width = max(part.width, NARROWEST)
        row = min(attempt.row, MOST_ROWS - 1)
        bars.append(Bar(attempt, min(part.x, 100 - width), width, 4 + row * ROW))
    rows = max((bar.top // ROW for bar in bars), default=0) + 1
    return DrawnLane(
        pod_id=lane.pod_id,
        height=rows * ROW + 12,
        stays=scale.parts((stay.from_ts, stay.to_ts) for stay in lane.stays),
        asleep=scale.parts(span for stay in lane.stays for span in stay.asleep),
        bars=bars,
        reigns=scale.parts(reigns),
        deaths=[
            scale.x(stay.to_ts)
            for stay in lane.stays
            if stay.ended == "declared_dead" and stay.to_ts is not None and scale.has(stay.to_ts)
        ],
        numbers=numbers,
    )


def ticks(since: int, until: int) -> list[Tick]:
    """About ``TICKS`` times of the clock between two times, for an axis."""
    scale = _Scale(since, until)
    seconds = (until - since) / MICROS
    step = next((each for each in _STEPS if seconds / each <= TICKS), _STEPS[-1])
    first = -(-since // (step * MICROS)) * step
    pattern = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%m-%d"
    return [
        Tick(scale.x(at * MICROS), datetime.fromtimestamp(at, UTC).strftime(pattern))
        for at in range(first, until // MICROS + 1, step)
    ]
