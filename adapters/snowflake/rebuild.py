"""Compares the tables with the log, and corrects them, while the store is in use."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, TypeVar

from msgspec.structs import astuple

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls, by_id
from fleet_q.adapters.snowflake.rebuild_schedules import SECOND_LOOK, rebuild_schedules
from fleet_q.core import rebuild
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.pod import Pod
from fleet_q.core.ports import RebuildReport
from fleet_q.core.queues import Queue, QueueEvent, with_tokens
from fleet_q.core.step import Step

E = TypeVar("E", StepEvent, PodEvent)
R = TypeVar("R", Step, Pod)


class Rebuilder:
    """Compares rows with their log, and replaces rows that differ.

    Each read is a statement of its own, between which steps may change. So a row that differs is
    read again between two reads of its log, and counts only if both are the same, also a moment
    later. Rows that still differ are replaced by a procedure, which locks the table and the events
    and then checks that the log has as many events of them as were folded.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._session = calls.session
        self._write = calls.write

    def rebuild(self, *, check: bool, progress: Callable[[int], None] | None) -> RebuildReport:
        """See :meth:`fleet_q.core.ports.Store.rebuild`."""

        def correct(
            find: Callable[[Sequence[str]], list[str]], replace: Callable[[Sequence[str]], None]
        ) -> rebuild.Correct:
            def correct_batch(ids: Sequence[str]) -> Sequence[str]:
                differing = find(ids)
                if differing and not check:
                    replace(differing)
                return differing

            return correct_batch

        report = rebuild.compare(
            self,
            correct(self._differing_steps, self._replace_steps),
            correct(self._differing_pods, self._replace_pods),
            correct(list, self._replace_queues),
            progress,
        )
        return rebuild_schedules(self._calls, report, check=check)

    def pods(self) -> list[Pod]:
        """All pods by id."""
        return [rows.to_pod(row[2:]) for row in self._session.query("described_pods") if row[2]]

    def pod_events(self) -> Iterator[PodEvent]:
        """All pod events, by id and version."""
        return map(rows.to_pod_event, self._session.stream("pod_events"))

    def queues(self) -> list[Queue]:
        """All queues by name."""
        return [rows.to_queue(row) for row in self._session.query("queues")]

    def queue_events(self) -> Iterator[QueueEvent]:
        """All events of queues, by name and version."""
        return map(rows.to_queue_event, self._session.query("queue_events"))

    def all_steps(self) -> Iterator[Step]:
        """All steps by id."""
        return map(rows.to_step, self._session.stream("all_steps"))

    def step_events(self) -> Iterator[StepEvent]:
        """All step events, by id and version."""
        return map(rows.to_step_event, self._session.stream("step_events"))

    def _differing_steps(self, step_ids: Sequence[str]) -> list[str]:
        return _differing(
            step_ids,
            log=self._step_events_of,
            table=lambda ids: by_id(self._session.query("steps", step_ids=ids)),
            fold=lambda log: {step.step_id: step for step in rebuild.fold_steps(log)},
            is_equal=rebuild.is_equal_but_for_progress,
        )

    def _differing_pods(self, pod_ids: Sequence[str]) -> list[str]:
        return _differing(
            pod_ids,
            log=self._pod_events_of,
            table=lambda _: {pod.pod_id: pod for pod in self.pods()},
            fold=lambda log: {pod.pod_id: pod for pod in rebuild.fold_pods(log)},
            is_equal=rebuild.is_equal_but_for_heartbeat,
        )

    def _replace_steps(self, step_ids: Sequence[str]) -> None:
        ids = rows.encode(step_ids)

        def replace() -> None:
            log = self._step_events_of(ids)
            table = by_id(self._session.query("steps", step_ids=ids))  # later progress is lost
            steps = rebuild.with_progress(rebuild.fold_steps(log), table)
            folded: list[Any] = [astuple(step) for step in steps]
            self._replace("replace_steps", len(log), step_ids=ids, steps=rows.encode(folded))

        self._calls.patiently(replace)

    def _replace_pods(self, pod_ids: Sequence[str]) -> None:
        ids = rows.encode(pod_ids)

        def replace() -> None:
            table = self.pods()  # a heartbeat between this and the replacement is lost
            log = self._pod_events_of(ids)
            folded = rebuild.with_heartbeats(rebuild.fold_pods(log), table)
            pods = rows.encode([astuple(pod) for pod in folded])
            self._replace("replace_pods", len(log), pod_ids=ids, pods=pods)

        self._calls.patiently(replace)

    def _replace_queues(self, names: Sequence[str]) -> None:
        def replace() -> None:
            table = self.queues()  # tokens that are taken after this are free
            log = [event for event in self.queue_events() if event.queue in names]
            folded = with_tokens(rebuild.fold_queues(log), table)
            queues = rows.encode([astuple(queue) for queue in folded])
            encoded = rows.encode(names)
            self._replace("replace_queues", len(log), names=encoded, queues=queues)

        self._calls.patiently(replace)

    def _replace(self, procedure: str, event_count: int, **values: Any) -> None:
        """Replace rows by those folded from a log of ``event_count`` events. Raises
        :class:`StoreUnavailable` if the log has others, so that they must be folded again."""
        found = self._write(procedure, event_count=event_count, **values)
        if found is None or int(found[0][0]) != event_count:
            raise StoreUnavailable(
                "Snowflake: the log has events of these rows that were not read; try again"
            )

    def _step_events_of(self, step_ids: str) -> list[StepEvent]:
        return [
            rows.to_step_event(r) for r in self._session.query("events_of_steps", step_ids=step_ids)
        ]

    def _pod_events_of(self, pod_ids: str) -> list[PodEvent]:
        return [
            rows.to_pod_event(row) for row in self._session.query("pod_events_of", pod_ids=pod_ids)
        ]


def _differing(
    ids: Sequence[str],
    *,
    log: Callable[[str], list[E]],
    table: Callable[[str], Mapping[str, R]],
    fold: Callable[[Iterable[E]], Mapping[str, R]],
    is_equal: Callable[[R | None, R | None], bool],
) -> list[str]:
    """The ids of which row and folded log differ. ``log`` and ``table`` read the events and rows of
    ids, which are encoded as JSON; rows are keyed by their ids."""
    differing = set(ids)
    for wait in (0.0, SECOND_LOOK):
        if differing:
            time.sleep(wait)
            differing = _differing_now(differing, log, table, fold, is_equal)
    return [row_id for row_id in ids if row_id in differing]


def _differing_now(
    ids: Set[str],
    log: Callable[[str], list[E]],
    table: Callable[[str], Mapping[str, R]],
    fold: Callable[[Iterable[E]], Mapping[str, R]],
    is_equal: Callable[[R | None, R | None], bool],
) -> set[str]:
    differing: set[str] = set()
    unchecked = set(ids)
    while unchecked:
        encoded = rows.encode(sorted(unchecked))
        before = log(encoded)
        stored = table(encoded)
        changed = _changed_ids(before, log(encoded))
        folded = fold(before)
        differing |= {
            row_id
            for row_id in unchecked - changed
            if not is_equal(stored.get(row_id), folded.get(row_id))
        }
        unchecked &= changed
    return differing


def _changed_ids(before: Sequence[E], after: Sequence[E]) -> set[str]:
    """The ids of which ``before`` and ``after`` have different events."""
    if before == after:
        return set()
    old: dict[str, list[E]] = {}
    new: dict[str, list[E]] = {}
    for log, streams in ((before, old), (after, new)):
        for event in log:
            streams.setdefault(event.stream, []).append(event)
    return {stream for stream in old.keys() | new.keys() if old.get(stream) != new.get(stream)}
