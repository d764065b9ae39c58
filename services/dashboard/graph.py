"""The graph of a workflow: which boxes it has, where they are, and which lines join them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Final

from fleet_q.core.lifecycle import STEP_STATUSES, StepStatus
from fleet_q.services.app.workflows import WorkflowStepView

MOST_BOXES: Final = 60
"""The most boxes of a graph: more cannot be told apart. Beyond, similar steps share one."""

WIDTH: Final = 168
HEIGHT: Final = 52
"""Of a box, in pixels."""

BAR: Final = WIDTH - 24
"""The width of the bar in a box of several steps, in pixels."""

_GAP_X: Final = 56
_GAP_Y: Final = 16
_MARGIN: Final = 8

_SWEEPS: Final = 4
"""How often boxes are sorted by where their neighbours are; more changes little."""

_WORST_FIRST: Final[tuple[StepStatus, ...]] = (
    "failed", "claimed", "pending", "waiting", "cancelled", "completed",
)  # fmt: skip

_NAMES: Final = 22
"""The characters of a name that fit into a box."""


@dataclass(frozen=True)
class Box:
    """A step, or several that are alike: ``counts`` are their numbers in each status, ``status`` is
    the one that needs most attention. ``step_id`` is that of a single step."""

    title: str
    step_id: str | None
    status: StepStatus
    counts: dict[StepStatus, int]
    is_critical: bool
    x: int
    y: int

    @property
    def short_title(self) -> str:
        """The title, cut to what fits."""
        return _cut(self.title)

    @property
    def short_id(self) -> str:
        """The id of the single step, cut to what fits."""
        return _cut(self.step_id or "")

    @property
    def label(self) -> str:
        """What the box says, in words."""
        if self.step_id is not None:
            return f"{self.title}: {self.status} ({self.step_id})"
        return f"{self.title}: " + ", ".join(f"{n} {status}" for status, n in self.counts.items())

    @property
    def shares(self) -> list[tuple[StepStatus, int, int]]:
        """The bar of a box of several steps: status, begin and width in pixels of each part."""
        total, before, begin = sum(self.counts.values()), 0, 0
        parts: list[tuple[StepStatus, int, int]] = []
        for status, number in self.counts.items():
            before += number
            end = round(BAR * before / total)
            parts.append((status, begin, end - begin))
            begin = end
        return parts


@dataclass(frozen=True)
class Line:
    """A line from the right side of one box to the left side of another: an SVG path."""

    path: str
    is_critical: bool


@dataclass(frozen=True)
class Graph:
    """The graph of a workflow, from left to right. ``is_collapsed``: boxes stand for several
    steps."""

    boxes: list[Box]
    lines: list[Line]
    width: int
    height: int
    is_collapsed: bool


def graph_of(
    steps: Sequence[WorkflowStepView], critical_path: Iterable[str], most: int = MOST_BOXES
) -> Graph:
    """Draw the graph of a workflow. If it has more than ``most`` steps, those of one type whose
    parents are alike share a box; if that is still too many, all of one type at one depth; and
    then all at one depth."""
    parents = {step.step_id: step.after for step in steps}
    known = parents.keys()
    parents = {step_id: tuple(p for p in after if p in known) for step_id, after in parents.items()}
    order = list(TopologicalSorter(parents).static_order())
    by_id = {step.step_id: step for step in steps}
    depths: dict[str, int] = {}
    for step_id in order:
        depths[step_id] = 1 + max((depths[parent] for parent in parents[step_id]), default=-1)
    group_of: dict[str, Hashable] = {step_id: step_id for step_id in order}
    if len(order) > most:
        group_of = _alike(order, parents, by_id)
    if len(set(group_of.values())) > most:
        group_of = {each: (depths[each], by_id[each].task_type) for each in order}
    if len(set(group_of.values())) > most:
        group_of = {each: depths[each] for each in order}
    return _Drawing(order, by_id, parents, depths, group_of, set(critical_path)).graph()


def _alike(
    order: Iterable[str],
    parents: Mapping[str, tuple[str, ...]],
    by_id: Mapping[str, WorkflowStepView],
) -> dict[str, Hashable]:
    """Groups of steps of one type whose parents are in the same groups."""
    numbers: dict[Hashable, int] = {}
    groups: dict[str, Hashable] = {}
    for step_id in order:
        key = (by_id[step_id].task_type, frozenset(groups[each] for each in parents[step_id]))
        groups[step_id] = numbers.setdefault(key, len(numbers))
    return groups


class _Drawing:
    """Places the boxes of groups of steps in columns by depth, with few crossings of lines."""

    def __init__(
        self,
        order: Sequence[str],
        by_id: Mapping[str, WorkflowStepView],
        parents: Mapping[str, tuple[str, ...]],
        depths: Mapping[str, int],
        group_of: Mapping[str, Hashable],
        critical: set[str],
    ) -> None:
        self._members: defaultdict[Hashable, list[WorkflowStepView]] = defaultdict(list)
        self._column: dict[Hashable, int] = {}
        self._before: defaultdict[Hashable, dict[Hashable, bool]] = defaultdict(dict)
        self._after: defaultdict[Hashable, set[Hashable]] = defaultdict(set)
        self._critical = critical
        for step_id in order:
            group = group_of[step_id]
            self._members[group].append(by_id[step_id])
            self._column[group] = max(self._column.get(group, 0), depths[step_id])
            for parent_id in parents[step_id]:
                parent = group_of[parent_id]
                if parent != group:
                    is_critical = step_id in critical and parent_id in critical
                    self._before[group][parent] = (
                        self._before[group].get(parent, False) or is_critical
                    )
                    self._after[parent].add(group)

    def graph(self) -> Graph:
        columns: defaultdict[int, list[Hashable]] = defaultdict(list)
        for group in self._members:
            columns[self._column[group]].append(group)
        rows = self._rows(columns)
        tallest = max((len(column) for column in columns.values()), default=0)
        boxes = {group: self._box(group, rows[group]) for group in self._members}
        lines = [
            Line(_path(boxes[parent], boxes[group]), is_critical)
            for group, before in self._before.items()
            for parent, is_critical in before.items()
        ]
        in_order = sorted(boxes.values(), key=lambda box: (box.x, box.y))
        lines.sort(key=lambda line: line.is_critical)  # on top of the others
        return Graph(
            in_order,
            lines,
            2 * _MARGIN + (max(columns, default=0) + 1) * (WIDTH + _GAP_X) - _GAP_X,
            2 * _MARGIN + tallest * (HEIGHT + _GAP_Y) - _GAP_Y,
            is_collapsed=any(box.step_id is None for box in in_order),
        )

    def _rows(self, columns: Mapping[int, list[Hashable]]) -> dict[Hashable, float]:
        """The rows of the groups. Each column is sorted by the mean row of its neighbours, from
        left to right and back, and centred."""
        tallest = max((len(column) for column in columns.values()), default=0)
        rows: dict[Hashable, float] = {}
        orders = {number: list(column) for number, column in columns.items()}

        def place(number: int) -> None:
            column = orders[number]
            top = (tallest - len(column)) / 2
            rows.update({group: top + place for place, group in enumerate(column)})

        for number in sorted(orders):
            place(number)
        for sweep in range(_SWEEPS):
            forwards = sweep % 2 == 0
            for number in sorted(orders, reverse=not forwards):
                near = self._before if forwards else self._after

                def mean(
                    group: Hashable, near: Mapping[Hashable, Iterable[Hashable]] = near
                ) -> float:
                    neighbours = [rows[each] for each in near.get(group, ())]
                    return sum(neighbours) / len(neighbours) if neighbours else rows[group]

                orders[number].sort(key=mean)
                place(number)
        return rows

    def _box(self, group: Hashable, row: float) -> Box:
        members = self._members[group]
        numbers = Counter(step.status for step in members)
        types = {step.task_type for step in members}
        title = next(iter(types)) or "step" if len(types) == 1 else "several types"
        single = len(members) == 1
        return Box(
            title if single else f"{len(members)} × {title}",
            members[0].step_id if single else None,
            next(status for status in _WORST_FIRST if numbers[status]),
            {status: numbers[status] for status in STEP_STATUSES if numbers[status]},
            any(step.step_id in self._critical for step in members),
            _MARGIN + self._column[group] * (WIDTH + _GAP_X),
            round(_MARGIN + row * (HEIGHT + _GAP_Y)),
        )


def _path(start: Box, end: Box) -> str:
    x, y = start.x + WIDTH, start.y + HEIGHT // 2
    to_x, to_y = end.x, end.y + HEIGHT // 2
    bend = (x + to_x) // 2
    return f"M{x} {y}C{bend} {y} {bend} {to_y} {to_x} {to_y}"


def _cut(text: str) -> str:
    return text if len(text) <= _NAMES else text[: _NAMES - 1] + "…"
