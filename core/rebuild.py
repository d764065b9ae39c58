"""Fold the whole log, and make the tables of it or hold them against it, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Final, Protocol, TypeVar

from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.pod import Pod
from fleet_q.core.ports import RebuildReport, Transaction
from fleet_q.core.step import Step

_TELL_EVERY: Final = 5_000
_MOST_NAMED: Final = 1_000  # a report of more ids than this helps nobody, and memory is bounded

T = TypeVar("T", Step, Pod)


class LogAndTables(Protocol):
    """What is compared; see :class:`fleet_q.core.ports.Transaction`."""

    def pods(self) -> list[Pod]: ...
    def pod_events(self) -> Iterator[PodEvent]: ...
    def all_steps(self) -> Iterator[Step]: ...
    def step_events(self) -> Iterator[StepEvent]: ...


def rebuild(
    tx: Transaction, *, check: bool, progress: Callable[[int], None] | None
) -> RebuildReport:
    """See :meth:`fleet_q.core.ports.Store.rebuild`. Raises ``CorruptLog`` on a log with gaps."""
    report = compare(tx, progress)
    if not check:
        tx.replace_pods(_fold_pods(tx.pod_events()))
        tx.replace_steps(_fold_steps(tx.step_events()))
    return report


def compare(tx: LogAndTables, progress: Callable[[int], None] | None) -> RebuildReport:
    """Hold the tables against the log. Raises ``CorruptLog`` on a log with gaps."""
    folded_pods = _fold_pods(tx.pod_events())
    differing_pods = _differing(folded_pods, tx.pods(), lambda pod: pod.pod_id)

    counter = _Counter(progress)
    folded_steps = _fold_steps(counter.count(tx.step_events()))
    differing_steps = _differing(folded_steps, tx.all_steps(), lambda step: step.step_id)
    return RebuildReport(
        steps=counter.streams,
        pods=len(folded_pods),
        events=counter.events,
        differing_steps=tuple(differing_steps),
        differing_pods=tuple(differing_pods),
    )


def _fold_pods(log: Iterable[PodEvent]) -> list[Pod]:
    return [
        pod
        for _, history in groupby(log, key=lambda event: event.stream)
        if (pod := pods.fold(history)) is not None
    ]


def _fold_steps(log: Iterable[StepEvent]) -> Iterator[Step]:
    for _, history in groupby(log, key=lambda event: event.stream):
        step = steps.fold(history)
        if step is not None:
            yield step


def _differing(log: Iterable[T], table: Iterable[T], key: Callable[[T], str]) -> list[str]:
    """The ids that only one side has, or that differ; both sides come ordered by id."""
    differing: list[str] = []
    left, right = iter(log), iter(table)
    one, other = next(left, None), next(right, None)
    found: str | None
    while one is not None or other is not None:
        if other is None or (one is not None and key(one) < key(other)):
            assert one is not None
            found, one = key(one), next(left, None)
        elif one is None or key(other) < key(one):
            found, other = key(other), next(right, None)
        else:
            found = key(one) if one != other else None
            one, other = next(left, None), next(right, None)
        if found is not None and len(differing) < _MOST_NAMED:
            differing.append(found)
    return differing


class _Counter:
    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self.events = 0
        self.streams = 0
        self._progress = progress

    def count(self, log: Iterable[StepEvent]) -> Iterator[StepEvent]:
        for event in log:
            self.events += 1
            self.streams += event.version == 1
            if self._progress is not None and self.events % _TELL_EVERY == 0:
                self._progress(self.events)
            yield event
        if self._progress is not None:
            self._progress(self.events)
