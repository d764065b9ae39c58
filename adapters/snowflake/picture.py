"""The log against the tables, on a store that goes on changing while it is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from msgspec.structs import astuple, replace

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.session import Session, new_change_id
from fleet_q.core import pod as pods
from fleet_q.core import rebuild
from fleet_q.core import step as steps
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.pod import Pod
from fleet_q.core.ports import RebuildReport
from fleet_q.core.step import Step


class Picture:
    """What a rebuild reads and writes.

    Its reads are statements of their own, and steps move in between. So whatever differs is looked
    at again, its log before and after its row: only if those are the same does the row count. And
    only rows that differ are written anew, so that a fleet at work is not kept waiting.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def rebuild(self, *, check: bool, progress: Callable[[int], None] | None) -> RebuildReport:
        """See :meth:`fleet_q.core.ports.Store.rebuild`."""
        report = rebuild.compare(self, progress)
        report = replace(
            report,
            differing_steps=tuple(filter(self._step_differs, report.differing_steps)),
            differing_pods=tuple(filter(self._pod_differs, report.differing_pods)),
        )
        if not check:
            self._mend(report)
        return report

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

    def _step_differs(self, step_id: str) -> bool:
        while True:
            before = self._history([step_id])
            found = self._session.query("steps", step_ids=rows.encode([step_id]))
            if self._history([step_id]) == before:
                return [rows.to_step(row) for row in found] != _folded(before)

    def _pod_differs(self, pod_id: str) -> bool:
        while True:
            before = self._pod_history(pod_id)
            found = [pod for pod in self.pods() if pod.pod_id == pod_id]
            if self._pod_history(pod_id) == before:
                return found != ([pods.fold(before)] if before else [])

    def _mend(self, report: RebuildReport) -> None:
        if report.differing_steps:
            step_ids = rows.encode(report.differing_steps)
            with self._session.transaction(new_change_id()) as tx:
                tx.run("delete_steps", step_ids=step_ids)  # it holds the table's lock from now on
                log = [rows.to_step_event(row) for row in tx.run("events_of", step_ids=step_ids)]
                tx.run("insert_steps", steps=rows.encode([astuple(s) for s in _folded(log)]))
        if report.differing_pods:
            with self._session.transaction(new_change_id()) as tx:
                tx.run("delete_pods", pod_ids=rows.encode(report.differing_pods))
                folded = [pods.fold(self._pod_history(each)) for each in report.differing_pods]
                tx.run("insert_pods", pods=rows.encode([astuple(pod) for pod in folded if pod]))

    def _history(self, step_ids: Sequence[str]) -> list[StepEvent]:
        found = self._session.query("events_of", step_ids=rows.encode(step_ids))
        return [rows.to_step_event(row) for row in found]

    def _pod_history(self, pod_id: str) -> list[PodEvent]:
        return [rows.to_pod_event(row) for row in self._session.query("pod_history", pod_id=pod_id)]


def _folded(log: Sequence[StepEvent]) -> list[Step]:
    folded = (steps.fold(history) for _, history in groupby(log, key=lambda e: e.stream))
    return [step for step in folded if step is not None]
