"""Blocks of time, each with what happened to steps in it: the longer ago, the longer they are."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from fleet_q.core.activity import MINUTE, Activity
from fleet_q.core.lifecycle import StepStatus

QUARTER: Final = 15 * MINUTE
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

MINUTES_FOR: Final = 3 * HOUR
"""How long ago blocks are minutes."""

QUARTERS_FOR: Final = 8 * DAY
"""How long ago they are quarters of an hour; before, they are hours."""

Place = tuple[str, str, StepStatus]
"""Queue, task type and status."""


@dataclass(frozen=True)
class Block:
    """What happened to steps from ``start`` for ``width`` microseconds. ``net`` is how many more
    there were of each queue, task type and status at its end, ``submitted`` how many are new."""

    start: int
    width: int
    changes: tuple[Activity, ...]
    net: dict[Place, int]
    submitted: int

    @property
    def end(self) -> int:
        """When the next block begins."""
        return self.start + self.width


def width_of(age: int) -> int:
    """How long blocks are that end so many microseconds ago."""
    if age <= MINUTES_FOR:
        return MINUTE
    return QUARTER if age <= QUARTERS_FOR else HOUR


def blocks_of(changes: Iterable[Activity], width: int) -> Iterator[Block]:
    """The blocks of this width in which something happened."""
    by_start: defaultdict[int, dict[Activity, int]] = defaultdict(dict)
    for change in changes:
        start = change.minute * MINUTE // width * width
        key = change._replace(minute=start // MINUTE, number=0)
        numbers = by_start[start]
        numbers[key] = numbers.get(key, 0) + change.number
    for start, numbers in by_start.items():
        merged = tuple(key._replace(number=number) for key, number in numbers.items())
        yield Block(start, width, merged, net_of(merged), _submitted(merged))


def net_of(changes: Iterable[Activity]) -> dict[Place, int]:
    """How many more steps of each queue, task type and status there are after these changes."""
    net: Counter[Place] = Counter()
    for change in changes:
        if change.before != change.after:
            net[change.queue, change.task_type, change.after] += change.number
            if change.before is not None:
                net[change.queue, change.task_type, change.before] -= change.number
    return {place: number for place, number in net.items() if number}


def _submitted(changes: Iterable[Activity]) -> int:
    return sum(change.number for change in changes if change.before is None)


class Blocks:
    """What happened from ``since`` until before ``until``, which are beginnings of blocks."""

    def __init__(self, since: int) -> None:
        self.since = self.until = since
        self.submitted = 0
        self._blocks: dict[int, Block] = {}

    def all(self) -> list[Block]:
        """The blocks in which something happened, in no order."""
        return list(self._blocks.values())

    def add_later(self, changes: Iterable[Activity], until: int) -> None:
        """Add what happened later, until before ``until``, and make longer blocks of old ones."""
        for block in blocks_of(changes, MINUTE):
            self._add(block)
        self.until = max(self.until, until)
        self._widen()

    def add_earlier(self, changes: Iterable[Activity], since: int) -> None:
        """Add what happened from ``since`` on, before what is known."""
        by_width: defaultdict[int, list[Activity]] = defaultdict(list)
        for change in changes:
            by_width[self.width_at(change.minute * MINUTE)].append(change)
        for width, of_width in by_width.items():
            for block in blocks_of(of_width, width):
                self._add(block)
        self.since = min(self.since, since)

    def width_at(self, moment: int) -> int:
        """How long the block is in which the moment is."""
        for width in (HOUR, QUARTER):
            end = (moment // width + 1) * width
            if end <= self.until and width_of(self.until - end) >= width:
                return width
        return MINUTE

    def _add(self, block: Block) -> None:
        known = self._blocks.get(block.start)
        if known is not None:
            block = next(blocks_of([*known.changes, *block.changes], block.width))
            self.submitted -= known.submitted
        self._blocks[block.start] = block
        self.submitted += block.submitted

    def _widen(self) -> None:
        grown: defaultdict[tuple[int, int], list[Block]] = defaultdict(list)
        for block in self._blocks.values():
            width = self.width_at(block.start)
            if width > block.width:
                grown[block.start // width * width, width].append(block)
        for (_, width), parts in grown.items():
            for part in parts:
                del self._blocks[part.start]
                self.submitted -= part.submitted
            for block in blocks_of((c for part in parts for c in part.changes), width):
                self._add(block)
