"""Steps, pods, queues and schedules as they were at a moment, from their logs.

The state at a moment is that after all events until then, that moment included. What was pruned
since then is unknown, and so is what the log does not have: progress, heartbeats, tokens of queues
and the bookkeeping of schedules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, takewhile
from typing import TypeVar

import msgspec

from fleet_q.core import pod as pods
from fleet_q.core import queues, schedules, search
from fleet_q.core import step as steps
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.pod import Pod
from fleet_q.core.queues import Queue, QueueEvent
from fleet_q.core.schedules import Schedule, ScheduleEvent
from fleet_q.core.search import StepFilter, StepList, StepSummary
from fleet_q.core.step import Step

S = TypeVar("S")
E = TypeVar("E", StepEvent, PodEvent, QueueEvent, ScheduleEvent)


def until(history: Iterable[E], at: int) -> list[E]:
    """The events of one stream until a moment."""
    return list(takewhile(lambda event: _time(event) <= at, history))


def step_at(history: Iterable[StepEvent], at: int) -> Step | None:
    """A step at a moment; ``None`` if it was not submitted by then."""
    return steps.fold(until(history, at))


def steps_at(events: Iterable[StepEvent], at: int) -> Iterator[Step]:
    """All steps at a moment, of a log that is ordered by id and version."""
    return _folded(events, at, lambda event: event.stream, steps.fold)


def pods_at(events: Iterable[PodEvent], at: int) -> Iterator[tuple[Pod, PodEvent]]:
    """All pods at a moment, and the last event of each, likewise."""
    for _, group in groupby(events, key=lambda event: event.stream):
        history = until(group, at)
        pod = pods.fold(history)
        if pod is not None:
            yield pod, history[-1]


def queues_at(events: Iterable[QueueEvent], at: int) -> Iterator[Queue]:
    """The queues that had, or had had, limits at a moment, likewise."""
    return _folded(events, at, lambda event: event.queue, queues.fold_queue)


def schedules_at(events: Iterable[ScheduleEvent], at: int) -> Iterator[Schedule]:
    """The schedules at a moment, also those that were deleted, likewise."""
    return _folded(events, at, lambda event: event.schedule, schedules.fold_schedule)


def _folded(
    events: Iterable[E],
    at: int,
    stream: Callable[[E], str],
    fold: Callable[[Iterable[E]], S | None],
) -> Iterator[S]:
    for _, group in groupby(events, key=stream):
        state = fold(until(group, at))
        if state is not None:
            yield state


def _time(event: StepEvent | PodEvent | QueueEvent | ScheduleEvent) -> int:
    return event.event_ts if isinstance(event, QueueEvent | ScheduleEvent) else event.at


def as_they_were(
    found: Sequence[StepSummary],
    moment: int,
    events: Callable[[list[str]], Iterable[StepEvent]],
) -> list[StepSummary | None]:
    """These steps at a moment; ``None`` for one that did not exist then. One that has not changed
    since then is as it is now. Of the others, ``events`` reads those until then, by id and
    version."""
    later = [step.step_id for step in found if step.last_update_ts > moment]
    folded = (
        {step.step_id: StepSummary.of(step) for step in steps_at(_gapless(events(later)), moment)}
        if later
        else {}
    )
    return [
        msgspec.structs.replace(step, progress=None)
        if step.last_update_ts <= moment
        else folded.get(step.step_id)
        for step in found
    ]


def _gapless(events: Iterable[StepEvent]) -> Iterator[StepEvent]:
    """The events of each step up to the first that is missing: if the clock was set back, one may
    lie after the moment although later ones do not."""
    step_id, version = None, 0
    for event in events:
        if event.stream != step_id:
            step_id, version = event.stream, 0
        if event.version == version + 1:
            version += 1
            yield event


def list_of(
    found: Iterable[Step], now: int, selected: StepFilter, limit: int, cursor: str | None
) -> StepList:
    """A page of those of the steps that a filter selects, the latest submission first."""
    before = None if cursor is None else search.to_place(cursor)
    searched, summaries = 0, []
    for step in found:
        searched += 1
        if (before is None or search.place(step) < before) and selected.selects(step):
            summaries.append(StepSummary.of(step))
    summaries.sort(key=search.place, reverse=True)
    return search.page(now, summaries[:limit], limit, searched)
