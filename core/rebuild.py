"""Rebuild the tables: fold the event log, compare it with the rows, correct the differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace

from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.dependencies import Dependency, parents_of, required
from fleet_q.core.differences import difference
from fleet_q.core.errors import CorruptLog, FleetQError, UnknownToThisVersion
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Database, RebuildReport, Transaction
from fleet_q.core.queues import Queue, QueueEvent, fold_queue, is_equal_but_for_tokens, with_tokens
from fleet_q.core.rebuild_schedules import with_schedules
from fleet_q.core.sizes import size_of
from fleet_q.core.step import Step

BATCH_ROWS: Final = 500
"""The maximum number of rows corrected in one transaction, for which other writers wait."""

BATCH_BYTES: Final = 4 * 1024 * 1024
"""About how many bytes of payloads, results and errors such a batch has, at most."""

_PROGRESS_EVERY: Final = 5_000  # events
_MAX_REPORTED: Final = 1_000  # ids in a report; bounds memory

_NEEDED: Final = ("payload", "priority", "max_retries", "available_ts", "queue", "task_type")
"""Columns of a step that its first event sets."""

T = TypeVar("T", Step, Pod)
E = TypeVar("E", StepEvent, PodEvent, QueueEvent)
R = TypeVar("R", Step, Pod, Queue)
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
    """See :meth:`fleet_q.core.ports.Store.rebuild`.

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

    def correct_waits(step_ids: Sequence[str]) -> Sequence[str]:
        with database.write() as tx:
            differing = differing_waits(tx, tx.steps(step_ids).values())
            tx.delete_dependencies_of(list(differing))
            tx.write_dependencies([d for required in differing.values() for d in required])
        return step_ids

    with database.snapshot() as tx:
        if check:
            waits = _Waits(lambda: nullcontext(tx), _report_only)
            report = compare(tx, _report_only, _report_only, _report_only, progress, waits)
        else:
            waits = _Waits(database.read, correct_waits)  # the snapshot has the rows from before
            report = compare(tx, correct_steps, correct_pods, correct_queues, progress, waits)
        return with_schedules(report, tx, database, check=check)


def compare(
    tables: LogAndTables,
    correct_steps: Correct,
    correct_pods: Correct,
    correct_queues: Correct,
    progress: Callable[[int], None] | None,
    waits: _Waits | None = None,
) -> RebuildReport:
    """Compare the tables with the log and pass the ids of differing rows to ``correct_steps``,
    ``correct_pods`` and ``correct_queues`` in batches. ``waits`` compares the
    dependencies of waiting steps. What has an inconsistent log is left alone."""
    corrupt = Corrupt()
    folded_pods = list(fold_pods(tables.pod_events(), corrupt))
    differing = _differing(
        map(_without_heartbeat, folded_pods),
        map(_without_heartbeat, tables.pods()),
        lambda pod: pod.pod_id,
        corrupt,
    )
    differing_pods, of_pods = _in_batches(differing, lambda _: 0, correct_pods)

    of_queues = _differing_queues(tables, corrupt)
    counter = _Counter(progress)
    folded_steps = fold_steps(counter.count(tables.step_events()), corrupt)
    if waits is not None:
        folded_steps = waits.watch(folded_steps)
    rows = map(_without_progress, tables.all_steps())
    differing_rows = _differing(folded_steps, rows, lambda step: step.step_id, corrupt)
    differing_steps, of_steps = _in_batches(differing_rows, _size, correct_steps)
    return RebuildReport(
        steps=counter.streams,
        pods=len(folded_pods),
        events=counter.events,
        differing_steps=differing_steps,
        differing_pods=differing_pods,
        differing_queues=tuple(correct_queues(list(of_queues))) if of_queues else (),
        reasons=(*of_steps, *of_pods, *of_queues.values()),
        inconsistent=corrupt.reasons,
        differing_waits=() if waits is None else tuple(waits.differing()),
    )


class Corrupt:
    """What has an inconsistent log, and why."""

    def __init__(self) -> None:
        self._reasons: dict[tuple[str, str], str] = {}

    @property
    def reasons(self) -> tuple[str, ...]:
        """The first reasons."""
        return tuple(self._reasons.values())[:_MAX_REPORTED]

    def add(self, kind: str, stream: str, reason: str) -> None:
        """Record why the log of a step, pod or queue is inconsistent."""
        self._reasons[kind, stream] = reason

    def has(self, kind: str, stream: str) -> bool:
        """Whether the log of a step, pod or queue is inconsistent."""
        return (kind, stream) in self._reasons


class _Waits:
    """Compares the dependencies of waiting steps with those that follow from their parents, once
    their rows are corrected."""

    def __init__(
        self, read: Callable[[], AbstractContextManager[Transaction]], correct: Correct
    ) -> None:
        self._read = read
        self._correct = correct
        self._waiting: list[str] = []

    def watch(self, folded: Iterable[Step]) -> Iterator[Step]:
        """Note the waiting steps among these."""
        for step in folded:
            if step.status == "waiting":
                self._waiting.append(step.step_id)
            yield step

    def differing(self) -> Iterator[str]:
        """The ids of the steps whose dependencies differ; corrects them in batches."""
        for first in range(0, len(self._waiting), BATCH_ROWS):
            step_ids = self._waiting[first : first + BATCH_ROWS]
            with self._read() as tx:
                differing = differing_waits(tx, tx.steps(step_ids).values())
            if differing:
                yield from self._correct(list(differing))


def differing_waits(tx: Transaction, steps: Iterable[Step]) -> dict[str, list[Dependency]]:
    """Those of the steps that wait and have other dependencies than they must, with those that they
    must have."""
    waiting = {s.step_id: parents_of(s.parents) for s in steps if s.status == "waiting"}
    statuses = tx.statuses(list({parent for kinds in waiting.values() for parent in kinds}))
    table: dict[str, set[Dependency]] = {step_id: set() for step_id in waiting}
    for dependency in tx.dependencies_of(list(waiting)):
        table[dependency.child_id].add(dependency)
    must = {step_id: required(step_id, kinds, statuses) for step_id, kinds in waiting.items()}
    return {step_id: must[step_id] for step_id in waiting if set(must[step_id]) != table[step_id]}


def fold_pods(log: Iterable[PodEvent], corrupt: Corrupt | None = None) -> Iterator[Pod]:
    """Fold a pod log that is ordered by id and version; yields every pod. Those with an
    inconsistent log are added to ``corrupt``; without it, this raises what ``fold`` raises."""
    return _folded(log, "pod", lambda event: event.stream, pods.fold, corrupt)


def fold_steps(log: Iterable[StepEvent], corrupt: Corrupt | None = None) -> Iterator[Step]:
    """Fold a step log that is ordered by id and version, likewise."""
    return _folded(log, "step", lambda event: event.stream, _fold_step, corrupt)


def fold_queues(log: Iterable[QueueEvent], corrupt: Corrupt | None = None) -> Iterator[Queue]:
    """Fold the log of queues that is ordered by name and version, likewise."""
    return _folded(log, "queue", lambda event: event.queue, fold_queue, corrupt)


def _folded(
    log: Iterable[E],
    kind: str,
    stream_of: Callable[[E], str],
    fold: Callable[[Iterable[E]], R | None],
    corrupt: Corrupt | None,
) -> Iterator[R]:
    for stream, history in groupby(log, key=stream_of):
        try:
            folded = fold(history)
        except UnknownToThisVersion:
            raise
        except FleetQError as error:
            if corrupt is None:
                raise
            corrupt.add(kind, stream, str(error))
            continue
        if folded is not None:
            yield folded


def _fold_step(history: Iterable[StepEvent]) -> Step | None:
    """The step; raises also for events that lack values, which were not written by a pod."""
    events = list(history)
    try:
        step = steps.fold(events)
    except (TypeError, ValueError, AttributeError) as error:
        raise CorruptLog(
            f"step {events[0].stream!r} has an event without the values that it needs: {error}"
        ) from error
    if step is not None and None in [getattr(step, column) for column in _NEEDED]:
        raise CorruptLog(f"step {step.step_id!r} has an event without the values that it needs")
    return step


def _differing_queues(tables: LogAndTables, corrupt: Corrupt) -> dict[str, str]:
    """Why they differ, by name."""
    folded = {queue.queue: queue for queue in fold_queues(tables.queue_events(), corrupt)}
    table = {queue.queue: queue for queue in tables.queues()}
    return {
        name: difference("queue", name, table.get(name), folded.get(name))
        for name in sorted({*folded, *table})
        if not is_equal_but_for_tokens(table.get(name), folded.get(name))
        and not corrupt.has("queue", name)
    }


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


def _without_progress(step: Step) -> Step:
    return step if step.progress is None else replace(step, progress=None)


def is_equal_but_for_progress(one: Step | None, other: Step | None) -> bool:
    """Whether these are the same, except for the progress, which is not in the log."""
    if one is None or other is None:
        return one is other
    return _without_progress(one) == _without_progress(other)


def with_progress(folded: Iterable[Step], table: Mapping[str, Step]) -> Iterator[Step]:
    """The steps with the progress of the rows in the table."""
    for step in folded:
        row = table.get(step.step_id)
        yield step if row is None else replace(step, progress=row.progress)


def _report_only(ids: Sequence[str]) -> Sequence[str]:
    return ids


def _pod_events(tx: Transaction, pod_ids: Sequence[str]) -> Iterator[PodEvent]:
    for pod_id in pod_ids:
        yield from tx.pod_history(pod_id)


def _differing(
    log: Iterable[T], table: Iterable[T], key: Callable[[T], str], corrupt: Corrupt
) -> Iterator[tuple[str, T, str]]:
    """The rows that differ or that only one side has, with their ids and how they differ, except
    those with an inconsistent log. Both are ordered by id."""
    logged, stored = iter(log), iter(table)
    folded, row = next(logged, None), next(stored, None)
    while folded is not None or row is not None:
        if row is None or (folded is not None and key(folded) < key(row)):
            assert folded is not None
            yield key(folded), folded, difference(_kind(folded), key(folded), None, folded)
            folded = next(logged, None)
        elif folded is None or key(row) < key(folded):
            if not corrupt.has(_kind(row), key(row)):
                yield key(row), row, difference(_kind(row), key(row), row, None)
            row = next(stored, None)
        else:
            if folded != row:
                yield key(folded), folded, difference(_kind(folded), key(folded), row, folded)
            folded, row = next(logged, None), next(stored, None)


def _kind(row: Step | Pod) -> str:
    return "step" if isinstance(row, Step) else "pod"


def _in_batches(
    differing: Iterable[tuple[str, T, str]], size: Callable[[T], int], correct: Correct
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Pass the ids of differing rows to ``correct`` in batches; returns the first ids to report,
    and how these rows differ."""
    reported: dict[str, str] = {}
    batch: dict[str, str] = {}
    total = 0

    def correct_batch() -> None:
        nonlocal total
        for row_id in correct(list(batch))[: _MAX_REPORTED - len(reported)]:
            reported[row_id] = batch[row_id]
        batch.clear()
        total = 0

    for row_id, row, reason in differing:
        batch[row_id] = reason
        total += size(row)
        if len(batch) >= BATCH_ROWS or total >= BATCH_BYTES:
            correct_batch()
    if batch:
        correct_batch()
    return tuple(reported), tuple(reported.values())


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
