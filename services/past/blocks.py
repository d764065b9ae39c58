"""Blocks of time, each with what happened to steps in it: the longer ago, the longer they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from fleet_q.core.activity import MINUTE, Activity
from fleet_q.core.lifecycle import StepStatus

QUARTER: Final = 15 * MINUTE
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

MINUTES_FOR: Final = 3 * HOUR
"""How long ago blocks are minutes."""

QUARTERS_FOR: Final = 8 * DAY
"""How long ago they are quarters of an hour; before, they are hours."""

Pair = tuple[str, str]
"""A queue and a task type."""

MOST_ERRORS: Final = 200
"""Classes of errors that a block counts apart: each of them may be another text."""

OTHER_ERRORS: Final = "(others)"
"""The class of all further errors of a block."""

K = TypeVar("K")


@dataclass
class Block:
    """What happened to steps from ``start`` for ``width`` microseconds.

    - ``net``: how many more there were of each queue, task type and status at its end.
    - ``submitted``: how many are new.
    - ``events``: how many events of each type there were, of each queue and task type.
    - ``waits``, ``runs``: how many lengths of time of each class, likewise.
    - ``errors``: how many errors of each class, likewise, and whether they were retried.
    """

    start: int
    width: int
    submitted: int = 0
    net: dict[tuple[Pair, StepStatus], int] = field(default_factory=dict)
    events: dict[tuple[Pair, str], int] = field(default_factory=dict)
    waits: dict[Pair, dict[int, int]] = field(default_factory=dict)
    runs: dict[Pair, dict[int, int]] = field(default_factory=dict)
    errors: dict[tuple[Pair, str, bool], int] = field(default_factory=dict)

    def add(self, change: Activity) -> None:
        """Count changes."""
        pair, number = (change.queue, change.task_type), change.number
        _add(self.events, (pair, change.type), number)
        if change.before is None:
            self.submitted += number
        if change.before != change.after:
            _add(self.net, (pair, change.after), number)
            if change.before is not None:
                _add(self.net, (pair, change.before), -number)
        if change.span is not None:
            spans = self.waits if change.type == "claimed" else self.runs
            _add(spans.setdefault(pair, {}), change.span, number)
        if change.error is not None:
            self._add_error((pair, change.error, change.type == "retried"), number)

    def merge(self, other: Block) -> None:
        """Count what happened in another block."""
        self.submitted += other.submitted
        add_all(self.net, other.net)
        add_all(self.events, other.events)
        for error, number in other.errors.items():
            self._add_error(error, number)
        for own, others in ((self.waits, other.waits), (self.runs, other.runs)):
            for pair, spans in others.items():
                add_all(own.setdefault(pair, {}), spans)

    def _add_error(self, error: tuple[Pair, str, bool], number: int) -> None:
        if error not in self.errors and len(self.errors) >= MOST_ERRORS:
            error = (error[0], OTHER_ERRORS, error[2])
        _add(self.errors, error, number)


def _add(numbers: dict[K, int], key: K, number: int) -> None:
    numbers[key] = numbers.get(key, 0) + number


def add_all(numbers: dict[K, int], others: Mapping[K, int]) -> None:
    """Add the numbers of each key."""
    for key, number in others.items():
        numbers[key] = numbers.get(key, 0) + number


def blocks_of(changes: Iterable[Activity], width: int) -> Iterator[Block]:
    """The blocks of this width in which something happened."""
    blocks: dict[int, Block] = {}
    for change in changes:
        start = change.minute * MINUTE // width * width
        if start not in blocks:
            blocks[start] = Block(start, width)
        blocks[start].add(change)
    yield from blocks.values()


class Blocks:
    """What happened from ``since`` until before ``until``, which are beginnings of blocks."""

    def __init__(self, since: int) -> None:
        self.since = self.until = since
        self._blocks: dict[int, Block] = {}

    @property
    def submitted(self) -> int:
        """How many steps are new."""
        return sum(block.submitted for block in self._blocks.values())

    def all(self) -> list[Block]:
        """The blocks in which something happened, in no order."""
        return list(self._blocks.values())

    def add_later(self, changes: Iterable[Activity], until: int) -> None:
        """Add what happened later, until before ``until``, and make longer blocks of old ones."""
        for block in blocks_of(changes, MINUTE):
            self._add(block)
        self.until = max(self.until, until)
        self._widen()

    def earlier(self, changes: Iterable[Activity]) -> list[Block]:
        """Make the blocks of what happened before what is known."""
        found: dict[int, Block] = {}
        for change in changes:
            moment = change.minute * MINUTE
            width = self.width_at(moment)
            start = moment // width * width
            if start not in found:
                found[start] = Block(start, width)
            found[start].add(change)
        return list(found.values())

    def add_earlier(self, blocks: Iterable[Block], since: int) -> None:
        """Add these blocks: they are all from ``since`` on, before what is known."""
        for block in blocks:
            self._add(block)
        self.since = min(self.since, since)
        self._widen()  # they may have been made before ``until`` moved on

    def width_at(self, moment: int) -> int:
        """How long the block is in which the moment is."""
        for width, least in ((HOUR, QUARTERS_FOR), (QUARTER, MINUTES_FOR)):
            if (moment // width + 1) * width <= self.until - least:
                return width
        return MINUTE

    def _add(self, block: Block) -> None:
        known = self._blocks.get(block.start)
        if known is None:
            self._blocks[block.start] = block
        else:
            known.merge(block)

    def _widen(self) -> None:
        wider: dict[int, Block] = {}
        for block in self.all():
            width = self.width_at(block.start)
            if width > block.width:
                del self._blocks[block.start]
                start = block.start // width * width
                wider.setdefault(start, Block(start, width)).merge(block)
        for block in wider.values():
            self._add(block)
