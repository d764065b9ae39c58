"""Compares the tables with the log, and corrects them, while the store is in use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from msgspec.structs import astuple

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.session import Session, Transaction
from fleet_q.core import rebuild
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.pod import Pod
from fleet_q.core.ports import RebuildReport
from fleet_q.core.step import Step

E = TypeVar("E", StepEvent, PodEvent)


class Rebuilder:
    """Compares rows with their log, and replaces rows that differ.

    Each read is a statement of its own, between which steps may change. So a row that differs is
    read again between two reads of its log, and counts only if both are the same. Rows that still
    differ are replaced in a transaction that locks the table first and then folds the log again.

    ``write`` runs a transaction until it is committed.
    """

    def __init__(
        self, session: Session, write: Callable[[Callable[[Transaction], None]], str]
    ) -> None:
        self._session = session
        self._write = write

    def rebuild(self, *, check: bool, progress: Callable[[int], None] | None) -> RebuildReport:
        """See :meth:`fleet_q.core.ports.Store.rebuild`."""

        def correct_steps(step_ids: Sequence[str]) -> Sequence[str]:
            differing = self._differing_steps(step_ids)
            if differing and not check:
                self._replace_steps(differing)
            return differing

        def correct_pods(pod_ids: Sequence[str]) -> Sequence[str]:
            differing = self._differing_pods(pod_ids)
            if differing and not check:
                self._replace_pods(differing)
            return differing

        return rebuild.compare(self, correct_steps, correct_pods, progress)

    def pods(self) -> list[Pod]:
        """All pods by id."""
        return [rows.to_pod(row[1:]) for row in self._session.query("pods") if row[1]]

    def pod_events(self) -> Iterator[PodEvent]:
        """All pod events, by id and version."""
        return map(rows.to_pod_event, self._session.stream("pod_events"))

    def all_steps(self) -> Iterator[Step]:
        """All steps by id."""
        return map(rows.to_step, self._session.stream("all_steps"))

    def step_events(self) -> Iterator[StepEvent]:
        """All step events, by id and version."""
        return map(rows.to_step_event, self._session.stream("step_events"))

    def _differing_steps(self, step_ids: Sequence[str]) -> list[str]:
        differing: set[str] = set()
        unchecked = set(step_ids)
        while unchecked:
            encoded = rows.encode(sorted(unchecked))
            before = self._step_events_of(encoded)
            table = {
                step.step_id: step
                for step in map(rows.to_step, self._session.query("steps", step_ids=encoded))
            }
            changed = _changed_ids(before, self._step_events_of(encoded))
            folded = {step.step_id: step for step in rebuild.fold_steps(before)}
            differing |= {i for i in unchecked - changed if table.get(i) != folded.get(i)}
            unchecked &= changed
        return [step_id for step_id in step_ids if step_id in differing]

    def _differing_pods(self, pod_ids: Sequence[str]) -> list[str]:
        differing: set[str] = set()
        unchecked = set(pod_ids)
        while unchecked:
            encoded = rows.encode(sorted(unchecked))
            before = self._pod_events_of(encoded)
            table = {pod.pod_id: pod for pod in self.pods()}
            changed = _changed_ids(before, self._pod_events_of(encoded))
            folded = {pod.pod_id: pod for pod in rebuild.fold_pods(before)}
            differing |= {
                pod_id
                for pod_id in unchecked - changed
                if not rebuild.is_equal_but_for_heartbeat(table.get(pod_id), folded.get(pod_id))
            }
            unchecked &= changed
        return [pod_id for pod_id in pod_ids if pod_id in differing]

    def _replace_steps(self, step_ids: Sequence[str]) -> None:
        def replace(tx: Transaction) -> None:
            ids = rows.encode(step_ids)
            tx.run("delete_steps", step_ids=ids)  # locks the table
            log = map(rows.to_step_event, tx.run("events_of_steps", step_ids=ids))
            folded: list[Any] = [astuple(step) for step in rebuild.fold_steps(log)]
            tx.run("insert_steps", steps=rows.encode(folded))

        self._write(replace)

    def _replace_pods(self, pod_ids: Sequence[str]) -> None:
        def replace(tx: Transaction) -> None:
            ids = rows.encode(pod_ids)
            table = self.pods()  # a heartbeat before the next statement is lost
            tx.run("delete_pods", pod_ids=ids)
            log = map(rows.to_pod_event, tx.run("pod_events_of", pod_ids=ids))
            folded = rebuild.with_heartbeats(rebuild.fold_pods(log), table)
            tx.run("insert_pods", pods=rows.encode([astuple(pod) for pod in folded]))

        self._write(replace)

    def _step_events_of(self, step_ids: str) -> list[StepEvent]:
        return [
            rows.to_step_event(r) for r in self._session.query("events_of_steps", step_ids=step_ids)
        ]

    def _pod_events_of(self, pod_ids: str) -> list[PodEvent]:
        return [
            rows.to_pod_event(row) for row in self._session.query("pod_events_of", pod_ids=pod_ids)
        ]


def _changed_ids(before: Sequence[E], after: Sequence[E]) -> set[str]:
    """The ids of which ``before`` and ``after`` have different events."""
    if before == after:
        return set()
    old: dict[str, list[E]] = {}
    new: dict[str, list[E]] = {}
    for log, by_id in ((before, old), (after, new)):
        for event in log:
            by_id.setdefault(event.stream, []).append(event)
    return {stream for stream in old.keys() | new.keys() if old.get(stream) != new.get(stream)}
