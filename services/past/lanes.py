"""Lanes: what ran on each pod and when, when pods joined, left and died, and which one led."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from fleet_q.core import pod as pods
from fleet_q.core.attempts import Attempt
from fleet_q.core.events import DeclaredDead, Joined, Left, PodEvent, Slept, Woke
from fleet_q.core.leadership import leads_by_log
from fleet_q.core.pod import Pod

Ended = Literal["left", "declared_dead", "replaced"]

DIED: Final = "recovered"


@dataclass(frozen=True)
class Stay:
    """An incarnation of a pod, from its join to its end; ``None``: it has not ended. ``asleep`` are
    the times at which it fell asleep and woke."""

    from_ts: int
    to_ts: int | None
    ended: Ended | None
    asleep: list[tuple[int, int | None]]


@dataclass(frozen=True)
class AttemptView:
    """A step in the hands of a pod; ``to_ts`` is ``None`` if it still was at the end of the span.
    ``how`` is the event that ended it. Attempts with the same ``row`` do not overlap."""

    step_id: str
    queue: str
    task_type: str | None
    from_ts: int
    to_ts: int | None
    how: str | None
    error: str | None
    row: int


@dataclass(frozen=True)
class Lane:
    """A pod in a span of time; ``recovered`` is how many of its steps a leader recovered."""

    pod_id: str
    stays: list[Stay]
    attempts: list[AttemptView]
    recovered: int


@dataclass(frozen=True)
class Reign:
    """A time in which a pod led the fleet; ``None``: it still did at the end of the span."""

    pod_id: str
    from_ts: int
    to_ts: int | None


@dataclass(frozen=True)
class Lanes:
    """The pods from ``since`` to ``until``, and which of them led. ``is_cut``: there were more
    attempts, and the latest are shown."""

    since: int
    until: int
    lanes: list[Lane]
    leaders: list[Reign]
    is_cut: bool


def lanes(
    events: Sequence[PodEvent],
    attempts: Iterable[Attempt],
    since: int,
    until: int,
    *,
    is_cut: bool,
) -> Lanes:
    """The lanes of a span of time, until before ``until``: ``events`` are all events of pods, by id
    and version, ``attempts`` the attempts that overlap the span."""
    known = [event for event in events if event.at < until]
    stays: defaultdict[str, list[PodEvent]] = defaultdict(list)
    for event in known:
        stays[event.stream].append(event)
    by_pod: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_pod[attempt.pod_id].append(_until(attempt, until))
    found = []
    for pod_id in {*stays, *by_pod}:
        in_span = [each for each in _stays(stays[pod_id]) if _overlaps(each, since)]
        if in_span or pod_id in by_pod:
            of_pod = by_pod[pod_id]
            recovered = sum(each.how == DIED for each in of_pod)
            found.append(Lane(pod_id, in_span, _in_rows(of_pod), recovered))
    found.sort(key=lambda lane: (lane.stays[0].from_ts if lane.stays else since, lane.pod_id))
    reigns = [each for each in _reigns(known) if each.to_ts is None or each.to_ts >= since]
    return Lanes(since, until, found, reigns, is_cut)


def _until(attempt: Attempt, until: int) -> Attempt:
    if attempt.ended_ts is None or attempt.ended_ts < until:
        return attempt
    return Attempt(*(getattr(attempt, name) for name in Attempt.__struct_fields__[:6]))


def _overlaps(stay: Stay, since: int) -> bool:
    return stay.to_ts is None or stay.to_ts >= since


def _stays(history: Iterable[PodEvent]) -> list[Stay]:
    stays: list[Stay] = []
    for event in history:
        match event.fact:
            case Joined():
                _end(stays, event.at, "replaced")
                stays.append(Stay(event.at, None, None, []))
            case Left():
                _end(stays, event.at, "left")
            case DeclaredDead():
                _end(stays, event.at, "declared_dead")
            case Slept() if stays:
                stays[-1].asleep.append((event.at, None))
            case Woke() if stays and stays[-1].asleep:
                stays[-1].asleep[-1] = (stays[-1].asleep[-1][0], event.at)
    return stays


def _end(stays: list[Stay], at: int, ended: Ended) -> None:
    if not stays or stays[-1].to_ts is not None:
        return
    asleep = stays[-1].asleep
    if asleep and asleep[-1][1] is None:
        asleep[-1] = (asleep[-1][0], at)
    stays[-1] = replace(stays[-1], to_ts=at, ended=ended)


def _in_rows(attempts: Iterable[Attempt]) -> list[AttemptView]:
    """The attempts by their claims, each in the first row that is free."""
    ends: list[int | None] = []  # of the last attempt in each row; None: it has not ended
    views = []
    for each in sorted(attempts, key=lambda attempt: (attempt.claimed_ts, attempt.step_id)):
        row = next(
            (place for place, end in enumerate(ends) if end is not None and end <= each.claimed_ts),
            len(ends),
        )
        ends[row : row + 1] = [each.ended_ts]
        views.append(
            AttemptView(
                each.step_id,
                each.queue,
                each.task_type or None,
                each.claimed_ts,
                each.ended_ts,
                each.how,
                None if each.error is None else next(iter(each.error.splitlines()), ""),
                row,
            )
        )
    return views


def _reigns(events: Iterable[PodEvent]) -> list[Reign]:
    """Which pods led, as far as the log tells: it has no heartbeats."""
    current: dict[str, Pod] = {}
    there: dict[str, Pod] = {}  # those that are not down: there are few of them
    reigns: list[Reign] = []
    in_order = sorted(events, key=lambda event: event.at)  # stable: of one pod by version
    for place, event in enumerate(in_order):
        pod = current[event.stream] = pods.evolve(current.get(event.stream), event)
        if pod.status == "down":
            there.pop(event.stream, None)
        else:
            there[event.stream] = pod
        if place + 1 < len(in_order) and in_order[place + 1].at == event.at:
            continue
        leading = leads_by_log(there.values())
        leader = None if leading is None else leading.pod_id
        if reigns and reigns[-1].to_ts is None:
            if reigns[-1].pod_id == leader:
                continue
            reigns[-1] = replace(reigns[-1], to_ts=event.at)
        if leader is not None:
            reigns.append(Reign(leader, event.at, None))
    return reigns
