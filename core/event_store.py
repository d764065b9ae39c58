"""Implement the store port over a database: one transaction per call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from fleet_q.core.activity import ActivityPage
from fleet_q.core.alerts import Alert, AlertList
from fleet_q.core.attempts import AttemptList
from fleet_q.core.dependencies import parents_of
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.inbox import Intake, step_of_row
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.log import LogFilter, LogPage
from fleet_q.core.pod import Pod
from fleet_q.core.ports import (
    Backlog,
    Database,
    FinalStep,
    FinalStepPage,
    Orphan,
    PodList,
    Pruned,
    RebuildReport,
    StartRecords,
    StepPage,
    StoreTraits,
    SubmitResult,
    SyncRequest,
    SyncResult,
    Transaction,
)
from fleet_q.core.queue_stats import QueueStats
from fleet_q.core.queues import Queue, QueueChange, QueueEvent
from fleet_q.core.rebuild import rebuild
from fleet_q.core.schedules import ScheduleEvent, ScheduleList, ScheduleWrite
from fleet_q.core.search import StepFilter, StepList
from fleet_q.core.step import Cancel, Change, Recover, Replay, SaveCheckpoint, Step, Submit
from fleet_q.core.workflows import WorkflowPage


class EventStore:
    """A :class:`~fleet_q.core.ports.Store` over a :class:`~fleet_q.core.ports.Database`."""

    starts: StartRecords | None = None
    """See :class:`fleet_q.core.ports.Store`, also for all methods of this class."""

    def __init__(self, database: Database, intake: Intake) -> None:
        self._database = database
        self._intake = intake

    @property
    def traits(self) -> StoreTraits:
        return self._database.traits

    def change_counter(self) -> int:
        return self._database.change_counter()

    def submit(self, new: Sequence[Submit], pod_id: str | None = None) -> list[SubmitResult]:
        with self._database.write() as tx:
            return tx.submit_many(new, pod_id)

    def sync(self, request: SyncRequest) -> SyncResult:
        """Try a sync that may have nothing to write in a read transaction first, which blocks no
        writer."""
        is_new_claim = request.claim and not request.is_retry
        if is_new_claim and (
            request.only_if_claimable or not (request.pod_command or request.outcomes)
        ):
            with self._database.read() as tx:
                result = tx.peek(request)
            if result is not None:
                return result
        with self._database.write() as tx:
            return tx.sync(request, self._intake)

    def declare_dead(self, silent: Sequence[Pod], by: str | None = None) -> list[Pod]:
        with self._database.write() as tx:
            return tx.declare_dead(silent, by)

    def expire(self, limit: int, by: str | None = None) -> int:
        with self._database.write() as tx:
            return tx.expire(limit, by)

    def fold_heartbeats(self) -> bool:
        """Heartbeats are in the pods' rows already, and each transaction settles what it ends."""
        with self._database.read() as tx:
            return bool(tx.expired(1))

    def orphans(self, after: str, limit: int) -> list[Orphan]:
        with self._database.read() as tx:
            return tx.orphans(after, limit)

    def recover(self, orphans: Sequence[Recover], by: str | None = None) -> list[Step]:
        with self._database.write() as tx:
            return tx.recover(orphans, by)

    def cancel(self, step_id: str, pod_id: str | None = None) -> Step:
        with self._database.write() as tx:
            return tx.change([Cancel(step_id)], pod_id)[0]

    def replay(self, step_ids: Sequence[str], pod_id: str | None = None) -> list[Step]:
        with self._database.write() as tx:
            return tx.change([Replay(step_id) for step_id in step_ids], pod_id)

    def change_allowed(self, commands: Sequence[Change], pod_id: str | None = None) -> list[str]:
        with self._database.write() as tx:
            return tx.change_allowed(commands, pod_id)

    def save_checkpoint(self, save: SaveCheckpoint, pod_id: str | None = None) -> None:
        with self._database.write() as tx:
            tx.save_checkpoint(save, pod_id)

    def queues(self) -> list[Queue]:
        with self._database.read() as tx:
            return tx.queues()

    def set_queue(self, queue: str, change: QueueChange, by: str | None = None) -> Queue:
        with self._database.write() as tx:
            return tx.set_queue(queue, change, by)

    def queue_history(self, queue: str) -> list[QueueEvent]:
        with self._database.read() as tx:
            return tx.queue_history(queue)

    def schedules(self) -> ScheduleList:
        with self._database.read() as tx:
            schedules = tx.schedules()
            last = [row.last_step_id for row in schedules if row.last_step_id is not None]
            return ScheduleList(tx.at, tuple(schedules), tx.statuses(last) if last else {})

    def write_schedule(self, write: ScheduleWrite, by: str | None = None) -> bool:
        with self._database.write() as tx:
            return tx.change_schedule(write, by)

    def schedule_history(self, schedule: str) -> list[ScheduleEvent]:
        with self._database.read() as tx:
            return tx.schedule_history(schedule)

    def alerts(self) -> AlertList:
        with self._database.read() as tx:
            return AlertList(tx.at, tuple(tx.alerts()))

    def write_alert(self, before: Alert | None, after: Alert | None) -> bool:
        row = after or before
        assert row is not None
        with self._database.write() as tx:
            current = tx.alert(row.alert)
            if (current and current.version) != (before and before.version):
                return False
            if after is not None:
                tx.write_alert(after)
            elif current is not None:
                tx.delete_alert(row.alert)
            return True

    def step(self, step_id: str) -> Step | None:
        with self._database.read() as tx:
            return self._step(tx, step_id)

    def _step(self, tx: Transaction, step_id: str) -> Step | None:
        step = tx.steps([step_id]).get(step_id)
        if step is not None or not tx.has_inbox_rows():
            return step
        row = tx.inbox_row(step_id)
        return None if row is None else step_of_row(row, tx.at, self._intake)

    def parents(self, step_id: str) -> list[Step] | None:
        with self._database.read() as tx:
            step = self._step(tx, step_id)
            if step is None:
                return None
            parent_ids = parents_of(step.parents)
            parents = tx.steps(list(parent_ids)) if parent_ids else {}
            return [parents[parent_id] for parent_id in parent_ids if parent_id in parents]

    def history(self, step_id: str) -> list[StepEvent]:
        with self._database.read() as tx:
            return tx.history(step_id)

    def counts(self) -> dict[StepStatus, int]:
        with self._database.read() as tx:
            return tx.counts()

    def backlog(self) -> Backlog:
        with self._database.read() as tx:
            return tx.backlog()

    def queue_stats(self, window: int) -> QueueStats:
        with self._database.read() as tx:
            return tx.queue_stats(window)

    def pending_types(self) -> list[tuple[str, str]]:
        with self._database.read() as tx:
            return tx.pending_types()

    def pods(self) -> PodList:
        with self._database.read() as tx:
            return PodList(tx.at, tuple(tx.pods()), tx.next_firing())

    def described_pods(self) -> PodList:
        return self.pods()

    def declared_dead(self) -> set[str]:
        with self._database.read() as tx:
            return tx.declared_dead()

    def dead_letters(self, limit: int, before: tuple[int, str] | None = None) -> StepPage:
        with self._database.read() as tx:
            return StepPage.of(tx.dead_letters(limit, before), limit)

    def list_steps(
        self, step_filter: StepFilter, limit: int, cursor: str | None = None
    ) -> StepList:
        with self._database.read() as tx:
            return tx.list_steps(step_filter, limit, cursor)

    def workflow_steps(
        self, workflow_id: str, limit: int, cursor: str | None = None
    ) -> WorkflowPage:
        with self._database.read() as tx:
            return tx.workflow_steps(workflow_id, limit, cursor)

    def step_events(self) -> Iterator[StepEvent]:
        with self._database.snapshot() as tx:
            yield from tx.step_events()

    def final_steps(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str = ""
    ) -> FinalStepPage:
        with self._database.read() as tx:
            return tx.final_steps(statuses, before, limit, after)

    def prune(self, steps: Sequence[FinalStep], before: int, by: str | None = None) -> Pruned:
        with self._database.write() as tx:
            return tx.prune_steps(steps, before)

    def prune_pod(self, pod: Pod) -> Pruned:
        with self._database.write() as tx:
            return tx.prune_pod(pod)

    def events_of_steps(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        with self._database.snapshot() as tx:
            yield from tx.events_of_steps(step_ids)

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        with self._database.snapshot() as tx:
            yield from tx.pod_history(pod_id)

    def pod_events(self) -> Iterator[PodEvent]:
        with self._database.snapshot() as tx:
            yield from tx.pod_events()

    def queue_events(self) -> list[QueueEvent]:
        with self._database.read() as tx:
            return list(tx.queue_events())

    def schedule_events(self) -> list[ScheduleEvent]:
        with self._database.read() as tx:
            return list(tx.schedule_events())

    def steps_at(
        self, moment: int, step_filter: StepFilter, limit: int, cursor: str | None = None
    ) -> StepList:
        with self._database.snapshot() as tx:
            return tx.steps_at(moment, step_filter, limit, cursor)

    def activity(self, since: int, until: int, cursor: str | None = None) -> ActivityPage:
        with self._database.snapshot() as tx:
            return tx.activity(since, until, cursor)

    def attempts(self, since: int, until: int, limit: int) -> AttemptList:
        with self._database.snapshot() as tx:
            return tx.attempts(since, until, limit)

    def index_log(self, most_steps: int | None = None) -> bool:
        return self._database.index_log(most_steps)

    def log(self, selected: LogFilter, limit: int, cursor: str | None = None) -> LogPage:
        with self._database.snapshot() as tx:
            return tx.log(selected, limit, cursor)

    def rebuild(
        self, *, check: bool = False, progress: Callable[[int], None] | None = None
    ) -> RebuildReport:
        return rebuild(self._database, check=check, progress=progress)

    def close(self) -> None:
        self._database.close()
