"""Rebuild the tables: fold the event log, compare it with the rows, correct the differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace

from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Database, RebuildReport, Transaction
from fleet_q.core.queues import Queue, QueueEvent, fold_queue, is_equal_but_for_tokens, with_tokens
from fleet_q.core.sizes import size_of
from fleet_q.core.step import Step

BATCH_ROWS: Final = 500
"""The maximum number of rows corrected in one transaction, for which other writers wait."""

BATCH_BYTES: Final = 4 * 1024 * 1024
"""About how many bytes of payloads, results and errors such a batch has, at most."""

_PROGRESS_EVERY: Final = 5_000  # events
_MAX_REPORTED: Final = 1_000  # ids in a report; bounds memory

T = TypeVar("T", Step, Pod)
Correct = Callable[[Sequence[str]], Sequence[str]]
"""Corrects the rows with the given ids; returns the ids to report as differing."""


class LogAndTables(Protocol):
    """The reads that :func:`compare` needs; see :class:`fleet_q.core.ports.Transaction`."""

    def pods(self) -> list[Pod]: ...
    def pod_events(self) -> Iterator[PodEvent]: ...
    def all_steps(self) -> Iterator[Step]: ...
    def step_events(self) -> Iterator[StepEvent]: ...
    def queues(self) -> list[Queue]: ...
    def queue_events(self) -> Iterator[QueueEvent]: ...


def rebuild(
    database: Database, *, check: bool, progress: Callable[[int], None] | None
) -> RebuildReport:
    """See :meth:`fleet_q.core.ports.Store.rebuild`. Raises ``CorruptLog`` on a log with gaps.

    The comparison reads a snapshot, so it blocks no writer. Rows may have changed since then, so
    the transaction that corrects them folds their events again.
    """

    def correct_steps(step_ids: Sequence[str]) -> Sequence[str]:
        with database.write() as tx:
            tx.replace_steps(step_ids, fold_steps(tx.events_of_steps(step_ids)))
        return step_ids

    def correct_pods(pod_ids: Sequence[str]) -> Sequence[str]:
        with database.write() as tx:
            folded = fold_pods(_pod_events(tx, pod_ids))
            tx.replace_pods(pod_ids, with_heartbeats(folded, tx.pods()))
        return pod_ids

    def correct_queues(names: Sequence[str]) -> Sequence[str]:
        with database.write() as tx:
            log = (event for name in names for event in tx.queue_history(name))
            tx.replace_queues(names, with_tokens(fold_queues(log), tx.queues()))
        return names

    with database.snapshot() as tx:
        if check:
            return compare(tx, _report_only, _report_only, _report_only, progress)
        return compare(tx, correct_steps, correct_pods, correct_queues, progress)


def compare(
    tables: LogAndTables,
    correct_steps: Correct,
    correct_pods: Correct,
    correct_queues: Correct,
    progress: Callable[[int], None] | None,
) -> RebuildReport:
    """Compare the tables with the log and pass the ids of differing rows to ``correct_steps``,
    ``correct_pods`` and ``correct_queues`` in batches. Raises ``CorruptLog`` on a log with gaps."""
    folded_pods = list(fold_pods(tables.pod_events()))
    differing = _differing(
        map(_without_heartbeat, folded_pods),
        map(_without_heartbeat, tables.pods()),
        lambda pod: pod.pod_id,
    )
    differing_pods = _in_batches(differing, lambda _: 0, correct_pods)

    queues = _differing_queues(tables)
    counter = _Counter(progress)
    folded_steps = fold_steps(counter.count(tables.step_events()))
    differing_rows = _differing(folded_steps, tables.all_steps(), lambda step: step.step_id)
    differing_steps = _in_batches(differing_rows, _size, correct_steps)
    return RebuildReport(
        steps=counter.streams,
        pods=len(folded_pods),
        events=counter.events,
        differing_steps=differing_steps,
        differing_pods=differing_pods,
        differing_queues=tuple(correct_queues(queues)) if queues else (),
    )


def fold_pods(log: Iterable[PodEvent]) -> Iterator[Pod]:
    """Fold a pod log that is ordered by id and version; yields every pod."""
    for _, history in groupby(log, key=lambda event: event.stream):
        pod = pods.fold(history)
        if pod is not None:
            yield pod


def fold_steps(log: Iterable[StepEvent]) -> Iterator[Step]:
    """Fold a step log that is ordered by id and version; yields every step."""
    for _, history in groupby(log, key=lambda event: event.stream):
        step = steps.fold(history)
        if step is not None:
            yield step


def fold_queues(log: Iterable[QueueEvent]) -> Iterator[Queue]:
    """Fold the log of queues that is ordered by name and version; yields every queue."""
    for _, history in groupby(log, key=lambda event: event.queue):
        queue = fold_queue(history)
        if queue is not None:
            yield queue


def _differing_queues(tables: LogAndTables) -> list[str]:
    folded = {queue.queue: queue for queue in fold_queues(tables.queue_events())}
    table = {queue.queue: queue for queue in tables.queues()}
    return [
        name
        for name in sorted({*folded, *table})
        if not is_equal_but_for_tokens(table.get(name), folded.get(name))
    ]


def with_heartbeats(folded: Iterable[Pod], table: Iterable[Pod]) -> Iterator[Pod]:
    """The ``folded`` pods with the ``last_heartbeat_ts`` of their rows in ``table``, because
    heartbeats are not in the log. A pod without a row keeps the time of its last event that counts
    as a heartbeat."""
    last_heartbeats = {pod.pod_id: pod.last_heartbeat_ts for pod in table}
    for pod in folded:
        yield replace(pod, last_heartbeat_ts=last_heartbeats.get(pod.pod_id, pod.last_heartbeat_ts))


def is_equal_but_for_heartbeat(row: Pod | None, folded: Pod | None) -> bool:
    """Whether a pod's row equals its folded log, apart from ``last_heartbeat_ts``."""
    return (row and _without_heartbeat(row)) == (folded and _without_heartbeat(folded))


def _without_heartbeat(pod: Pod) -> Pod:
    return replace(pod, last_heartbeat_ts=0)


def _report_only(ids: Sequence[str]) -> Sequence[str]:
    return ids


def _pod_events(tx: Transaction, pod_ids: Sequence[str]) -> Iterator[PodEvent]:
    for pod_id in pod_ids:
        yield from tx.pod_history(pod_id)


def _differing(
    log: Iterable[T], table: Iterable[T], key: Callable[[T], str]
) -> Iterator[tuple[str, T]]:
    """The rows that differ or that only one side has, with their ids. Both are ordered by id."""
    logged, stored = iter(log), iter(table)
    folded, row = next(logged, None), next(stored, None)
    while folded is not None or row is not None:
        if row is None or (folded is not None and key(folded) < key(row)):
            assert folded is not None
            yield key(folded), folded
            folded = next(logged, None)
        elif folded is None or key(row) < key(folded):
            yield key(row), row
            row = next(stored, None)
        else:
            if folded != row:
                yield key(folded), folded
            folded, row = next(logged, None), next(stored, None)


def _in_batches(
    differing: Iterable[tuple[str, T]], size: Callable[[T], int], correct: Correct
) -> tuple[str, ...]:
    """Pass the ids of differing rows to ``correct`` in batches; returns the first ids to report."""
    reported: list[str] = []
    batch: list[str] = []
    total = 0

    def correct_batch() -> None:
        nonlocal total
        reported.extend(correct(batch)[: _MAX_REPORTED - len(reported)])
        batch.clear()
        total = 0

    for row_id, row in differing:
        batch.append(row_id)
        total += size(row)
        if len(batch) >= BATCH_ROWS or total >= BATCH_BYTES:
            correct_batch()
    if batch:
        correct_batch()
    return tuple(reported)


def _size(step: Step) -> int:
    texts = (step.payload, step.result, step.error, step.traceback)
    return sum(size_of(text) for text in texts if text is not None)


class _Counter:
    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self.events = 0
        self.streams = 0
        self._progress = progress

    def count(self, log: Iterable[StepEvent]) -> Iterator[StepEvent]:
        for event in log:
            self.events += 1
            self.streams += event.version == 1
            if self._progress is not None and self.events % _PROGRESS_EVERY == 0:
                self._progress(self.events)
            yield event
        if self._progress is not None:
            self._progress(self.events)
