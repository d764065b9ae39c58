"""Dependencies: steps that wait for others, and what becomes of them when those end.

A step waits for its *parents*. For each it says how that must end: with ``success``, or in any way
(``finished``). A step whose parents have all ended so is ready. If one that must succeed fails or
is cancelled, the step *falls*: it is cancelled, and so are the waiting steps that need its
success, and so on down. A store keeps a :class:`Dependency` for each parent of a waiting or fallen
step that has not ended as required: so a step is ready when it has none, and a replay finds what
fell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

import msgspec

from fleet_q.core.errors import InvalidInput, ParentNotReplayed
from fleet_q.core.lifecycle import FINAL, STEP, StepStatus
from fleet_q.core.step import Replay, Restore, Step, Submit

Kind = Literal["success", "finished"]
"""How a parent must end: completed, or in any final status."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

MAX_PARENTS: Final = 10_000
"""The maximum number of parents of a step, which are kept with it."""

FAILED: Final = "parent {} failed"
CANCELLED: Final = "parent {} was cancelled"
"""The errors of steps that fall; format strings for the id of the parent."""


class Dependency(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """``child_id`` waits for ``parent_id``, which must end as ``kind`` says."""

    parent_id: str
    child_id: str
    kind: Kind


class Dependent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A :class:`Dependency` with the current status of its child."""

    parent_id: str
    child_id: str
    kind: Kind
    child_status: StepStatus


class Settlement(msgspec.Struct, frozen=True):
    """What the end of steps leads to: dependencies that are ``satisfied``, waiting steps that may
    be ready (``freed``), and those that fall, with the error of each."""

    satisfied: tuple[Dependency, ...]
    freed: tuple[str, ...]
    fallen: dict[str, str]


_decode_parents = msgspec.json.Decoder(dict[str, Kind]).decode


def parents_of(parents: str | None) -> dict[str, Kind]:
    """The parents of a step, from its column ``parents``."""
    return {} if parents is None else _decode_parents(parents)


def parents_json(parents: Mapping[str, Kind]) -> str:
    """The column ``parents`` of a step."""
    return msgspec.json.encode(parents).decode()


def is_satisfied(kind: Kind, status: StepStatus | None) -> bool:
    """Whether a parent with this status has ended as ``kind`` says. One that was pruned (``None``)
    counts as ended."""
    return status is None or status == "completed" or (kind == "finished" and status in FINAL)


def is_lost(kind: Kind, status: StepStatus | None) -> bool:
    """Whether a parent with this status has ended otherwise."""
    return status in FINAL and not is_satisfied(kind, status)


def check_no_circle(new: Sequence[Submit]) -> None:
    """Raise :class:`InvalidInput` if steps that are submitted together wait for each other."""
    waits_for: dict[str, Mapping[str, Kind]] = {}
    for submit in new:
        if submit.parents is not None:
            waits_for.setdefault(submit.step_id, parents_of(submit.parents))
    children: defaultdict[str, list[str]] = defaultdict(list)
    open_parents: dict[str, int] = {}
    for child_id, parents in waits_for.items():
        inside = [parent_id for parent_id in parents if parent_id in waits_for]
        open_parents[child_id] = len(inside)
        for parent_id in inside:
            children[parent_id].append(child_id)
    free = [child_id for child_id, count in open_parents.items() if not count]
    while free:
        step_id = free.pop()
        del open_parents[step_id]
        for child_id in children[step_id]:
            open_parents[child_id] -= 1
            if not open_parents[child_id]:
                free.append(child_id)
    if open_parents:
        raise InvalidInput(
            f"step {min(open_parents)!r} would wait for itself: its parents, or theirs, wait for it"
        )


def settle(ended: Mapping[str, StepStatus], dependents: Iterable[Dependent]) -> Settlement:
    """What follows from steps that ``ended`` in these statuses. ``dependents`` are at least theirs,
    and those of all that fall.

    The error of a step that falls names the parent by which it falls first: of several, the first
    by id of those that failed, or else of those that were cancelled.
    """
    by_parent: defaultdict[str, list[Dependent]] = defaultdict(list)
    for dependent in dependents:
        by_parent[dependent.parent_id].append(dependent)
    fallen: dict[str, str] = {}
    lost = {step_id: status for step_id, status in ended.items() if status != "completed"}
    level = sorted(lost, key=lambda step_id: (lost[step_id] != "failed", step_id))
    while level:
        below: list[str] = []
        for parent_id in level:
            error = (FAILED if lost[parent_id] == "failed" else CANCELLED).format(parent_id)
            for dependent in by_parent[parent_id]:
                child_id = dependent.child_id
                if (
                    dependent.kind == "success"
                    and dependent.child_status == "waiting"
                    and child_id not in lost
                ):
                    fallen[child_id] = error
                    lost[child_id] = "cancelled"
                    below.append(child_id)
        level = sorted(below)
    satisfied: dict[tuple[str, str], Dependency] = {}
    freed: dict[str, None] = {}
    for parent_id, status in {**ended, **lost}.items():
        for dependent in by_parent[parent_id]:
            child_id = dependent.child_id
            if is_satisfied(dependent.kind, status):
                satisfied[parent_id, child_id] = Dependency(parent_id, child_id, dependent.kind)
                if dependent.child_status == "waiting" and child_id not in fallen:
                    freed[child_id] = None
    return Settlement(tuple(satisfied.values()), tuple(freed), fallen)


class Replays(msgspec.Struct, frozen=True):
    """What becomes of steps that are to be replayed: the commands for them, the dependencies that
    they have from now on, and those that may not be replayed, with the parent that forbids it."""

    commands: list[Replay | Restore]
    dependencies: list[Dependency]
    refused: dict[str, str]


def replays(steps: Mapping[str, Step], statuses: Mapping[str, StepStatus]) -> Replays:
    """Replay these failed or cancelled steps together. ``statuses`` are those of their parents."""
    parents = {step_id: parents_of(step.parents) for step_id, step in steps.items()}
    refused: dict[str, str] = {}
    is_stable = False
    while not is_stable:  # a step that is not replayed forbids that of its children
        is_stable = True
        for step_id, kinds in parents.items():
            if step_id in refused:
                continue
            for parent_id, kind in kinds.items():
                is_replayed = parent_id in parents and parent_id not in refused
                if not is_replayed and is_lost(kind, statuses.get(parent_id)):
                    refused[step_id] = parent_id
                    is_stable = False
                    break
    commands: list[Replay | Restore] = []
    dependencies: list[Dependency] = []
    replayed = dict.fromkeys(parents.keys() - refused.keys(), STEP.initial)
    for step_id in steps:
        if step_id not in refused:
            own = required(step_id, parents[step_id], {**statuses, **replayed})
            dependencies += own
            commands.append(Restore(step_id) if own else Replay(step_id))
    return Replays(commands, dependencies, refused)


def refusal(step_id: str, parent_id: str, status: StepStatus | None) -> ParentNotReplayed:
    """The error of a replay that a parent forbids."""
    return ParentNotReplayed(step_id, parent_id, "failed" if status == "failed" else "cancelled")


def restored(
    parents: Mapping[str, Mapping[str, Kind]], statuses: Mapping[str, StepStatus]
) -> list[str]:
    """Those of the fallen steps, given with their ``parents``, that wait again: none of their
    parents has ended otherwise than they require, except others that wait again. ``statuses`` are
    those of the parents."""
    children: defaultdict[str, list[str]] = defaultdict(list)
    waits_again = set(parents)
    stays: list[str] = []
    for child_id, kinds in parents.items():
        for parent_id, kind in kinds.items():
            if parent_id in parents:
                if kind == "success":
                    children[parent_id].append(child_id)
            elif is_lost(kind, statuses.get(parent_id)):
                stays.append(child_id)
    while stays:
        step_id = stays.pop()
        if step_id in waits_again:
            waits_again.remove(step_id)
            stays += children[step_id]
    return [step_id for step_id in parents if step_id in waits_again]


def required(
    step_id: str, parents: Mapping[str, Kind], statuses: Mapping[str, StepStatus]
) -> list[Dependency]:
    """The dependencies of a waiting step, from the present ``statuses`` of its parents."""
    return [
        Dependency(parent_id, step_id, kind)
        for parent_id, kind in parents.items()
        if not is_satisfied(kind, statuses.get(parent_id))
    ]
