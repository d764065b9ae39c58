"""Workflows: steps with one ``workflow_id``. Nothing else is stored of a workflow, so its state is
that of its steps: how they hang together, how long they waited and ran, and what took longest.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Final, Literal, NamedTuple

import msgspec

from fleet_q.core.dependencies import parents_of
from fleet_q.core.lifecycle import FINAL, STEP_STATUSES, StepStatus
from fleet_q.core.step import Step

WorkflowStatus = Literal["running", "completed", "failed", "cancelled"]

MOMENTS: Final = ("ready", "replayed", "restored", "claimed")
"""The events that tell how long a step waited and ran."""

MAX_ERROR_LENGTH: Final = 500
"""The maximum number of characters of an error; its first line rarely has more."""


class WorkflowStep(msgspec.Struct, frozen=True, gc=False):
    """What a workflow shows of a step: columns of :class:`~fleet_q.core.step.Step`, without the
    large texts; ``error`` is cut after ``MAX_ERROR_LENGTH`` characters."""

    step_id: str
    status: StepStatus
    task_type: str
    retry_count: int
    created_ts: int
    last_update_ts: int
    parents: str | None
    spawned_by: str | None
    error: str | None

    @classmethod
    def of(cls, step: Step) -> WorkflowStep:
        """What a workflow shows of ``step``."""
        columns = {name: getattr(step, name) for name in cls.__struct_fields__}
        columns["error"] = step.error and step.error[:MAX_ERROR_LENGTH]
        return cls(**columns)


class Moment(NamedTuple):
    """When an event of :data:`MOMENTS` happened to a step."""

    step_id: str
    type: str
    at: int


class WorkflowPage(msgspec.Struct, frozen=True):
    """Some of the steps of a workflow, read at store time ``at``, and their ``moments``, those of
    a step in order. ``cursor`` continues after it; ``None``: there are no more steps."""

    at: int
    steps: tuple[WorkflowStep, ...]
    moments: tuple[Moment, ...]
    cursor: str | None


def page(
    at: int, steps: Iterable[WorkflowStep], moments: Iterable[Moment], limit: int
) -> WorkflowPage:
    """The page with the steps that a query for up to ``limit`` returned, by id. If there are fewer,
    it is the last."""
    found = tuple(steps)
    cursor = found[-1].step_id if found and len(found) == limit else None
    return WorkflowPage(at, found, tuple(moments), cursor)


class TimedStep(msgspec.Struct, frozen=True):
    """A step of a workflow with its times.

    - ``parents``: those of its parents that belong to the workflow, in order. A spawned step
      without any has the step that spawned it.
    - ``pending_ts``: since when it could be claimed, or could be before its claim; ``None``: it
      waits, or never could. It may have been delayed from then on.
    - ``claimed_ts``: when it was claimed first since then.
    - ``ended_ts``: when it became final.
    """

    step: WorkflowStep
    parents: tuple[str, ...]
    pending_ts: int | None
    claimed_ts: int | None
    ended_ts: int | None

    @property
    def step_id(self) -> str:
        """The id of the step."""
        return self.step.step_id

    def waited(self, at: int) -> int | None:
        """The microseconds from when it could be claimed until it was claimed, ended, or ``at``;
        ``None``: it could not."""
        if self.pending_ts is None:
            return None
        return max(0, (self.claimed_ts or self.ended_ts or at) - self.pending_ts)

    def ran(self, at: int) -> int | None:
        """The microseconds from its claim to its end or ``at``, with all tries and the pauses
        between them; ``None``: it was not claimed."""
        if self.claimed_ts is None:
            return None
        return max(0, (self.ended_ts or at) - self.claimed_ts)


class TreeStep(msgspec.Struct, frozen=True):
    """A step in the tree of its workflow: ``under`` one of its parents, ``depth`` levels deep."""

    timed: TimedStep
    under: str | None
    depth: int

    @property
    def others(self) -> tuple[str, ...]:
        """The parents under which the step does not stand."""
        return tuple(each for each in self.timed.parents if each != self.under)


class Omitted(msgspec.Struct, frozen=True):
    """Steps that a shortened tree leaves out: how many in each status, at their depth."""

    counts: dict[StepStatus, int]
    depth: int


def timed(steps: Iterable[WorkflowStep], moments: Iterable[Moment]) -> list[TimedStep]:
    """The steps with their times, in the order of their submission."""
    moments_of: defaultdict[str, list[Moment]] = defaultdict(list)
    for moment in moments:
        moments_of[moment.step_id].append(moment)
    ordered = sorted(steps, key=lambda step: (step.created_ts, step.step_id))
    known = {step.step_id for step in ordered}
    return [_timed(step, moments_of[step.step_id], known) for step in ordered]


def _timed(step: WorkflowStep, moments: Iterable[Moment], known: set[str]) -> TimedStep:
    parents = tuple(each for each in parents_of(step.parents) if each in known)
    if not parents and step.spawned_by in known:
        parents = (step.spawned_by,)
    pending_ts = step.created_ts if step.parents is None else None
    claimed_ts: int | None = None
    for moment in moments:
        if moment.type == "claimed":
            claimed_ts = moment.at if claimed_ts is None else claimed_ts
        else:
            pending_ts = None if moment.type == "restored" else moment.at
            claimed_ts = None
    ended_ts = step.last_update_ts if step.status in FINAL else None
    return TimedStep(step, parents, pending_ts, claimed_ts, ended_ts)


def count(steps: Iterable[TimedStep]) -> dict[StepStatus, int]:
    """How many of the steps are in each status, without zeros."""
    counts = Counter(each.step.status for each in steps)
    return {status: counts[status] for status in STEP_STATUSES if counts[status]}


def status_of(counts: Mapping[StepStatus, int]) -> WorkflowStatus:
    """The status of a workflow with so many steps in each status: ``completed`` if all are. While
    any of them is open, it is ``running``."""
    if any(counts[status] for status in counts if status not in FINAL):
        return "running"
    if counts.get("failed"):
        return "failed"
    return "cancelled" if counts.get("cancelled") else "completed"


def tree(steps: Sequence[TimedStep]) -> list[TreeStep]:
    """The steps as a tree, each before those under it.

    A step stands under the parent that ended last, so that made it ready; while it waits, under
    the first; and one that was cancelled because of a parent, under that. Under one parent, steps
    are in the order of ``steps``.
    """
    by_id = {each.step_id: each for each in steps}
    under = {each.step_id: _place(each, by_id) for each in steps}
    children: defaultdict[str | None, list[TimedStep]] = defaultdict(list)
    for each in steps:
        children[under[each.step_id]].append(each)
    found: list[TreeStep] = []
    left = [(each, 0) for each in reversed(children[None])]
    while left:
        each, depth = left.pop()
        found.append(TreeStep(each, under[each.step_id], depth))
        left += [(child, depth + 1) for child in reversed(children[each.step_id])]
    return found


def _place(step: TimedStep, by_id: Mapping[str, TimedStep]) -> str | None:
    if not step.parents:
        return None
    if step.step.status == "cancelled" and step.pending_ts is None:
        for status in ("failed", "cancelled"):
            for parent_id in step.parents:
                if by_id[parent_id].step.status == status:
                    return parent_id
    last = _last_ended(step, by_id)
    return step.parents[0] if last is None else last.step_id


def _last_ended(step: TimedStep, by_id: Mapping[str, TimedStep]) -> TimedStep | None:
    """The parent that ended last, if all of them have ended."""
    parents = [by_id[each] for each in step.parents]
    if any(each.ended_ts is None for each in parents):
        return None
    return max(parents, key=lambda each: each.ended_ts or 0, default=None)


def critical_path(steps: Sequence[TimedStep], at: int) -> list[str]:
    """The ids of the steps that made the workflow take as long as it did until ``at``, in order:
    the one that ended last, or has not ended, before it the parent whose end made that ready, and
    so on. Steps that were not claimed, and are not pending, had no part in it."""
    by_id = {each.step_id: each for each in steps}
    took_part = [
        each for each in steps if each.claimed_ts is not None or each.step.status == "pending"
    ]
    step: TimedStep | None = max(
        took_part,
        key=lambda each: (each.ended_ts or at, -(each.pending_ts or 0)),
        default=None,
    )
    path: list[str] = []
    while step is not None:
        path.append(step.step_id)
        step = _last_ended(step, by_id)
    return path[::-1]


def parents_first(steps: Sequence[TimedStep]) -> list[TimedStep]:
    """The steps, each after its parents."""
    by_id = {each.step_id: each for each in steps}
    graph = {each.step_id: each.parents for each in steps}
    return [by_id[step_id] for step_id in TopologicalSorter(graph).static_order()]


class WorkflowState(msgspec.Struct, frozen=True):
    """A workflow as it was at store time ``at``: its steps in the order of their submission, and as
    a tree, how many are in each status, and what took longest."""

    at: int
    status: WorkflowStatus
    counts: dict[StepStatus, int]
    steps: list[TimedStep]
    tree: list[TreeStep]
    critical_path: list[str]

    @classmethod
    def of(cls, at: int, steps: Iterable[WorkflowStep], moments: Iterable[Moment]) -> WorkflowState:
        """The state of the workflow with these steps, of which there is one at least."""
        in_order = timed(steps, moments)
        counts = count(in_order)
        path = critical_path(in_order, at)
        return cls(at, status_of(counts), counts, in_order, tree(in_order), path)

    @property
    def created_ts(self) -> int:
        """When its first step was submitted."""
        return self.steps[0].step.created_ts

    @property
    def ended_ts(self) -> int | None:
        """When its last step ended; ``None`` while one is open."""
        if self.status == "running":
            return None
        return max(each.step.last_update_ts for each in self.steps)

    @property
    def took(self) -> int:
        """The microseconds from its submission to its end, or until now."""
        return max(0, (self.ended_ts or self.at) - self.created_ts)


_IMPORTANCE: Final[Mapping[StepStatus, int]] = {"failed": 0, "claimed": 2}


def shortened(
    steps: Sequence[TreeStep], path: Iterable[str], most: int
) -> Iterator[TreeStep | Omitted]:
    """The tree with ``most`` steps at most: first those that failed, then those of the critical
    ``path``, those that run, and the first others. A step whose parent is left out stands under
    the nearest that is not, and so do the counts of those that are left out."""
    if len(steps) <= most:
        yield from steps
        return
    is_critical = set(path)

    def importance(place: int) -> tuple[int, int]:
        step = steps[place].timed.step
        rank = _IMPORTANCE.get(step.status, 3)
        return (min(rank, 1) if step.step_id in is_critical else rank, place)

    chosen = set(sorted(range(len(steps)), key=importance)[:most])
    nearest: dict[str | None, TreeStep | None] = {None: None}  # the chosen one at or above a step
    kept: list[TreeStep] = []
    omitted: defaultdict[str | None, Counter[StepStatus]] = defaultdict(Counter)
    for place, each in enumerate(steps):
        above = nearest[each.under]
        under = None if above is None else above.timed.step_id
        if place in chosen:
            depth = 0 if above is None else above.depth + 1
            kept.append(TreeStep(each.timed, under, depth))
            nearest[each.timed.step_id] = kept[-1]
        else:
            omitted[under][each.timed.step.status] += 1
            nearest[each.timed.step_id] = above
    open_: list[TreeStep] = []  # the path from the root to the step before
    for each in kept:
        while open_ and open_[-1].timed.step_id != each.under:
            yield from _omitted_under(open_.pop(), omitted)
        yield each
        open_.append(each)
    while open_:
        yield from _omitted_under(open_.pop(), omitted)
    yield from _omitted_under(None, omitted)


def _omitted_under(
    step: TreeStep | None, omitted: Mapping[str | None, Counter[StepStatus]]
) -> Iterator[Omitted]:
    counts = omitted.get(None if step is None else step.timed.step_id)
    if counts:
        in_order = {status: counts[status] for status in STEP_STATUSES if counts[status]}
        yield Omitted(in_order, 0 if step is None else step.depth + 1)
