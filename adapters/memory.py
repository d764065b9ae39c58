"""A store in this process's memory, for tests and for apps that need no steps after they exit."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, takewhile
from typing import Any, TypeVar

from msgspec.structs import replace

from fleet_q.adapters import fork
from fleet_q.adapters.clock import wall_clock
from fleet_q.adapters.dependency_table import DependencyTable
from fleet_q.adapters.ids import INTAKE
from fleet_q.core import log, search
from fleet_q.core.alerts import Alert
from fleet_q.core.backlog import PendingGroup, backlog_of
from fleet_q.core.claim_limits import ClaimLimits, Running
from fleet_q.core.dependencies import Dependency, Dependent, parents_of
from fleet_q.core.errors import StoreError
from fleet_q.core.event_store import EventStore
from fleet_q.core.events import DeclaredDead, PodEvent, StepEvent
from fleet_q.core.inbox import InboxRow, Intake, first_rows
from fleet_q.core.lifecycle import OPEN, STEP_STATUSES, StepStatus
from fleet_q.core.log import LogEntry, LogFilter, LogPage
from fleet_q.core.pod import Pod, PodChange
from fleet_q.core.ports import Backlog, FinalStep, FinalStepPage, Orphan, Pruned, StoreTraits
from fleet_q.core.pruning import is_prunable
from fleet_q.core.queue_stats import COUNTED, QueueStats, StepGroup, stats_of_types
from fleet_q.core.queues import Queue, QueueEvent, QueueWrite
from fleet_q.core.recovery import is_orphan
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.schedules import Schedule, ScheduleEvent
from fleet_q.core.search import StepFilter, StepList, StepSummary
from fleet_q.core.step import AT_ONCE, Step, claim_order, is_due, is_expired
from fleet_q.core.step_by_step import StepByStep
from fleet_q.core.workflows import (
    MOMENTS,
    Moment,
    WorkflowPage,
    WorkflowStep,
)
from fleet_q.core.workflows import page as workflow_page

T = TypeVar("T")


class MemoryStore(EventStore):
    """A store in the memory of one process. Any thread may use it.

    ``clock`` gives the store's time in microseconds since the Unix epoch.
    """

    def __init__(self, clock: Callable[[], int] = wall_clock, intake: Intake = INTAKE) -> None:
        self.database = MemoryDatabase(clock)
        fork.register(self.database)
        super().__init__(self.database, intake)


class MemoryDatabase:
    """The :class:`~fleet_q.core.ports.Database` of a memory store."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.step_log: dict[str, list[StepEvent]] = {}
        self.pod_log: dict[str, list[PodEvent]] = {}
        self.steps: dict[str, Step] = {}
        self.pods: dict[str, Pod] = {}
        self.queue_log: dict[str, list[QueueEvent]] = {}
        self.queues: dict[str, Queue] = {}
        self.schedule_log: dict[str, list[ScheduleEvent]] = {}
        self.schedules: dict[str, Schedule] = {}
        self.alerts: dict[str, Alert] = {}
        self.by_status: dict[StepStatus, dict[str, None]] = defaultdict(dict)
        self.by_unique_key: dict[str, dict[str, None]] = defaultdict(dict)
        self.dependencies = DependencyTable()
        self.deadlines: list[tuple[int, str]] = []  # a heap; of steps that may have begun since
        self.inbox: list[InboxRow] = []
        self.traits = StoreTraits()
        self.queue = _Queue(self.steps)
        self._clock = clock
        self._fork_lock = fork.ForkLock()
        self._open: MemoryTransaction | None = None
        self._changes = 0

    def change_counter(self) -> int:
        return self._changes

    def begin(self) -> MemoryTransaction:
        """A transaction: it is committed unless it is rolled back."""
        return MemoryTransaction(self, self._clock())

    @contextmanager
    def write(self) -> Iterator[MemoryTransaction]:
        with self._fork_lock.lock:
            self._open = tx = self.begin()
            try:
                yield tx
            except BaseException:
                tx.roll_back()
                raise
            finally:
                self._open = None
            self._changes += tx.has_changed

    read = write

    def put_into_inbox(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, given by their columns, as others do into a store with SQL."""
        with self._fork_lock.lock:
            for row in rows:
                self.inbox.append(InboxRow(row_id=self.next_row_id(), **row))
            self._changes += 1

    def next_row_id(self) -> int:
        """The id of the next row of the inbox."""
        return self.inbox[-1].row_id + 1 if self.inbox else 1

    @contextmanager
    def snapshot(self) -> Iterator[MemoryTransaction]:
        copy = MemoryDatabase(self._clock)
        with self._fork_lock.lock:
            copy.step_log = {step_id: list(log) for step_id, log in self.step_log.items()}
            copy.pod_log = {pod_id: list(log) for pod_id, log in self.pod_log.items()}
            copy.steps, copy.pods = dict(self.steps), dict(self.pods)
            copy.queue_log = {queue: list(log) for queue, log in self.queue_log.items()}
            copy.queues = dict(self.queues)
            copy.schedule_log = {name: list(log) for name, log in self.schedule_log.items()}
            copy.schedules = dict(self.schedules)
            copy.dependencies = DependencyTable(self.dependencies)
            copy.by_status |= {status: dict(ids) for status, ids in self.by_status.items()}
            copy.queue = _Queue(copy.steps)
        yield MemoryTransaction(copy, self._clock())

    def index_log(self, most_steps: int | None) -> bool:
        return True

    def close(self) -> None:
        pass

    def before_fork(self, until: float) -> None:
        """See :class:`fleet_q.adapters.fork.Forkable`."""
        self._fork_lock.before_fork(until)

    def after_fork(self, in_child: bool) -> None:
        """Release the lock. A child has a copy of the store; a transaction of another thread that
        was open is rolled back in it."""
        was_in_use = not self._fork_lock.is_held_by_fork
        self._fork_lock.after_fork(in_child)
        if in_child and was_in_use and self._open is not None:
            self._open.roll_back()
            self._open = None


class MemoryTransaction(StepByStep):
    """A :class:`fleet_q.core.ports.Transaction` on dicts; steps change one by one."""

    def __init__(self, database: MemoryDatabase, at: int) -> None:
        self.at = at
        self.has_changed = False  # a step, or the limits of a queue
        self._db = database
        self._undo: list[Callable[[], object]] = []

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        steps = self._db.steps
        return {step_id: steps[step_id] for step_id in step_ids if step_id in steps}

    def steps_with_unique_keys(self, unique_keys: Collection[str]) -> list[Step]:
        return [
            self._db.steps[step_id]
            for unique_key in unique_keys
            for step_id in self._db.by_unique_key.get(unique_key, ())
        ]

    def statuses(self, step_ids: Sequence[str]) -> dict[str, StepStatus]:
        return {step_id: step.status for step_id, step in self.steps(step_ids).items()}

    def has_dependencies(self) -> bool:
        return bool(self._db.dependencies)

    def dependents(self, ended: Mapping[str, StepStatus]) -> list[Dependent]:
        return self._db.dependencies.dependents(ended, self._status)

    def parents_columns(self, step_ids: Sequence[str]) -> dict[str, str]:
        steps = self.steps(step_ids).values()
        return {step.step_id: step.parents for step in steps if step.parents is not None}

    def dependencies_of(self, step_ids: Sequence[str]) -> list[Dependency]:
        return [d for step_id in step_ids for d in self._db.dependencies.of(step_id)]

    def with_dependencies(self, step_ids: Sequence[str]) -> set[str]:
        return {step_id for step_id in step_ids if self._db.dependencies.of(step_id)}

    def fallen(self, step_ids: Sequence[str]) -> list[str]:
        return self._db.dependencies.fallen(step_ids, self._status)

    def waiting_below(self, step_ids: Sequence[str]) -> set[str]:
        return self._db.dependencies.below(step_ids)

    def claimable(
        self, limit: int, limits: ClaimLimits | None = None, routes: Routes = EVERYWHERE
    ) -> list[Step]:
        return self._db.queue.due(self.at, limit, limits, routes)

    def expired(self, limit: int) -> list[str]:
        expired: dict[str, tuple[int, str]] = {}
        deadlines = self._db.deadlines
        while deadlines and deadlines[0][0] < self.at and len(expired) < limit:
            entry = heapq.heappop(deadlines)
            step = self._db.steps.get(entry[1])
            if step is not None and is_expired(step, self.at):
                expired[entry[1]] = entry
        for entry in expired.values():
            heapq.heappush(deadlines, entry)
        return list(expired)

    def limited_queues(self) -> list[Queue]:
        limited = super().limited_queues()
        if not limited:
            return []
        due = {step.queue for step in self._in_status("pending") if is_due(step, self.at)}
        return [queue for queue in limited if queue.queue in due]

    def running(self, queues: Sequence[str], ended: Collection[tuple[str, str]]) -> Running:
        running: dict[str, Counter[str | None]] = {queue: Counter() for queue in queues}
        for step in self._in_status("claimed"):
            if step.queue in running and (step.step_id, step.claim_token) not in ended:
                running[step.queue][step.key] += 1
        return running

    def next_due(self, routes: Routes = EVERYWHERE) -> int | None:
        return self._db.queue.next_due(self.at, routes)

    def is_any_due(self, routes: Routes = EVERYWHERE) -> bool:
        return bool(self.claimable(1, None, routes))

    def is_any_claimed(self) -> bool:
        return bool(self._db.by_status["claimed"])

    def claimed_under(self, pod_id: str, incarnation: str, claim_token: str) -> list[Step]:
        holder = (pod_id, incarnation, claim_token)
        return sorted(
            (
                step
                for step in self._in_status("claimed")
                if (step.claimed_by, step.incarnation, step.claim_token) == holder
            ),
            key=claim_order,
        )

    def orphans(self, after: str, limit: int) -> list[Orphan]:
        orphans = (
            _orphan(step)
            for step in self._in_status("claimed")
            if step.step_id > after and is_orphan(step, self._db.pods)
        )
        return heapq.nsmallest(limit, orphans, key=lambda orphan: orphan.step_id)

    def dead_letters(self, limit: int, before: tuple[int, str] | None) -> list[Step]:
        def age(step: Step) -> tuple[int, str]:
            return (step.last_update_ts, step.step_id)

        failed = (s for s in self._in_status("failed") if before is None or age(s) < before)
        return heapq.nlargest(limit, failed, key=age)

    def list_steps(self, step_filter: StepFilter, limit: int, cursor: str | None) -> StepList:
        before = None if cursor is None else search.to_place(cursor)
        selected = (
            step
            for step in self._db.steps.values()
            if (before is None or search.place(step) < before) and step_filter.selects(step)
        )
        latest = heapq.nlargest(limit, selected, key=search.place)
        return search.page(
            self.at, [StepSummary.of(step) for step in latest], limit, len(self._db.steps)
        )

    def workflow_steps(self, workflow_id: str, limit: int, cursor: str | None) -> WorkflowPage:
        after = cursor or ""
        selected = (
            step
            for step in self._db.steps.values()
            if step.workflow_id == workflow_id and step.step_id > after
        )
        steps = heapq.nsmallest(limit, selected, key=lambda step: step.step_id)
        moments = (
            Moment(step.step_id, event.fact.type, event.at)
            for step in steps
            for event in self._db.step_log[step.step_id]
            if event.fact.type in MOMENTS
        )
        return workflow_page(self.at, map(WorkflowStep.of, steps), moments, limit)

    def counts(self) -> dict[StepStatus, int]:
        return {status: len(self._db.by_status[status]) for status in STEP_STATUSES}

    def backlog(self) -> Backlog:
        due: defaultdict[tuple[str, str | None], list[int]] = defaultdict(list)
        waiting: defaultdict[tuple[str, str | None], list[int]] = defaultdict(list)
        for step in self._in_status("pending"):
            if is_due(step, self.at):
                due[step.queue, step.key].append(max(step.created_ts, step.available_ts))
            else:
                waiting[step.queue, step.key].append(step.available_ts)
        groups = [
            PendingGroup(
                *place,
                pending=len(due[place]) + len(waiting[place]),
                due=len(due[place]),
                oldest=min(due[place], default=None),
                next_due=min(waiting[place], default=None),
            )
            for place in {*due, *waiting}
        ]
        claimed, inbox = len(self._db.by_status["claimed"]), len(self._db.inbox)
        return backlog_of(self.at, groups, self.all_limits(), claimed, inbox)

    def queue_stats(self, window: int) -> QueueStats:
        since = self.at - window
        ids = reversed(self._db.by_status["completed"])  # the last one was completed last
        completed = takewhile(
            lambda step: step.last_update_ts >= since, map(self._db.steps.__getitem__, ids)
        )
        steps = chain(*map(self._in_status, COUNTED), completed)
        groups = (StepGroup.of(step, self.at, since) for step in steps)
        paused = {queue.queue for queue in self.queues() if queue.paused}
        types = stats_of_types(groups, paused)
        return QueueStats(self.at, since, self.counts(), types, len(self._db.inbox))

    def pending_types(self) -> list[tuple[str, str]]:
        return list({(step.queue, step.task_type) for step in self._in_status("pending")})

    def pods(self) -> list[Pod]:
        return [self._db.pods[pod_id] for pod_id in sorted(self._db.pods)]

    def declared_dead(self) -> set[str]:
        return {
            pod_id
            for pod_id, pod in self._db.pods.items()
            if pod.status == "down" and isinstance(self._db.pod_log[pod_id][-1].fact, DeclaredDead)
        }

    def pod(self, pod_id: str) -> Pod | None:
        return self._db.pods.get(pod_id)

    def queues(self) -> list[Queue]:
        return [self._db.queues[queue] for queue in sorted(self._db.queues)]

    def queue_events(self) -> Iterator[QueueEvent]:
        for queue in sorted(self._db.queue_log):
            yield from self._db.queue_log[queue]

    def queue_history(self, queue: str) -> list[QueueEvent]:
        return list(self._db.queue_log.get(queue, ()))

    def next_firing(self) -> int | None:
        times = (row.next_ts for row in self._db.schedules.values() if row.next_ts is not None)
        return min(times, default=None)

    def schedules(self) -> list[Schedule]:
        return [self._db.schedules[name] for name in sorted(self._db.schedules)]

    def schedule(self, schedule: str) -> Schedule | None:
        return self._db.schedules.get(schedule)

    def schedule_events(self) -> Iterator[ScheduleEvent]:
        for name in sorted(self._db.schedule_log):
            yield from self._db.schedule_log[name]

    def schedule_history(self, schedule: str) -> list[ScheduleEvent]:
        return list(self._db.schedule_log.get(schedule, ()))

    def history(self, step_id: str) -> list[StepEvent]:
        return list(self._db.step_log.get(step_id, ()))

    def step_events(self) -> Iterator[StepEvent]:
        for step_id in sorted(self._db.step_log):
            yield from self._db.step_log[step_id]

    def pod_events(self) -> Iterator[PodEvent]:
        for pod_id in sorted(self._db.pod_log):
            yield from self._db.pod_log[pod_id]

    def log(self, selected: LogFilter, limit: int, cursor: str | None) -> LogPage:
        bounds = {kind: log.bounds(selected, cursor, kind) for kind in selected.kinds}
        found = (
            entry
            for entry in self._entries()
            if selected.selects(entry) and log.is_within(entry, bounds[entry.stream])
        )
        return log.page(self.at, found, limit, newest_first=selected.newest_first)

    def _entries(self) -> Iterator[LogEntry]:
        for event in self.step_events():
            yield log.of_step(event, self._db.steps.get(event.stream))
        yield from map(log.of_pod, self.pod_events())
        yield from map(log.of_queue, self.queue_events())
        yield from map(log.of_schedule, self.schedule_events())

    def has_inbox_rows(self) -> bool:
        return bool(self._db.inbox)

    def inbox(self, limit: int, most_bytes: int) -> list[InboxRow]:
        return first_rows(self._db.inbox, limit, most_bytes)

    def inbox_row(self, step_id: str) -> InboxRow | None:
        return next((row for row in self._db.inbox if row.step_id == step_id), None)

    def all_steps(self) -> Iterator[Step]:
        for step_id in sorted(self._db.steps):
            yield self._db.steps[step_id]

    def write_steps(self, changes: Sequence[tuple[StepEvent, Step]]) -> None:
        self.has_changed = True
        for event, step in changes:
            if event.version == 1 and self._db.step_log.get(event.stream):
                raise StoreError(f"step {event.stream!r} exists, though its id should be unique")
            stream = self._db.step_log.setdefault(event.stream, [])
            stream.append(event)
            self._undo.append(stream.pop)
            self._keep(step)

    def write_progress(self, progress: Sequence[tuple[str, str, str]]) -> None:
        for step_id, claim_token, text in progress:
            step = self._db.steps.get(step_id)
            if step is not None and step.is_claimed_under(claim_token):
                self._keep(replace(step, progress=text))

    def write_pods(self, changes: Sequence[PodChange]) -> None:
        for event, pod in changes:
            if event is not None:
                stream = self._db.pod_log.setdefault(event.stream, [])
                stream.append(event)
                self._undo.append(stream.pop)
            old = self._db.pods.get(pod.pod_id)
            self._undo.append(partial(_restore, self._db.pods, pod.pod_id, old))
            self._db.pods[pod.pod_id] = pod

    def write_queues(self, changes: Sequence[QueueWrite]) -> None:
        rows = self._db.queues
        for event, queue in changes:
            if event is not None:
                self.has_changed = True
                history = self._db.queue_log.setdefault(event.queue, [])
                history.append(event)
                self._undo.append(history.pop)
            self._undo.append(partial(_restore, rows, queue.queue, rows.get(queue.queue)))
            rows[queue.queue] = queue

    def write_schedule(self, schedule: Schedule, event: ScheduleEvent | None) -> None:
        self.has_changed = True
        if event is not None:
            history = self._db.schedule_log.setdefault(event.schedule, [])
            history.append(event)
            self._undo.append(history.pop)
        rows, name = self._db.schedules, schedule.schedule
        self._undo.append(partial(_restore, rows, name, rows.get(name)))
        rows[name] = schedule

    def delete_schedule(self, schedule: str) -> None:
        deleted = self._db.schedules.pop(schedule)
        self._undo.append(partial(_restore, self._db.schedules, schedule, deleted))

    def alerts(self) -> list[Alert]:
        return [self._db.alerts[name] for name in sorted(self._db.alerts)]

    def alert(self, alert: str) -> Alert | None:
        return self._db.alerts.get(alert)

    def write_alert(self, alert: Alert) -> None:
        before = self._db.alerts.get(alert.alert)
        self._undo.append(partial(_restore, self._db.alerts, alert.alert, before))
        self._db.alerts[alert.alert] = alert

    def delete_alert(self, alert: str) -> None:
        deleted = self._db.alerts.pop(alert)
        self._undo.append(partial(_restore, self._db.alerts, alert, deleted))

    def final_steps(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str
    ) -> FinalStepPage:
        needed = self._parents_of_open_steps()
        ended = (
            FinalStep(step.step_id, step.version)
            for status in statuses
            for step in self._in_status(status)
            if step.step_id > after
            and step.step_id not in needed
            and is_prunable(step.status, step.last_update_ts, statuses, before)
        )
        page = heapq.nsmallest(limit, ended, key=lambda step: step.step_id)
        return FinalStepPage(tuple(page), page[-1].step_id if len(page) == limit else None)

    def events_of_steps(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        for step_id in sorted(step_ids):
            yield from self.history(step_id)

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        yield from self._db.pod_log.get(pod_id, ())

    def write_dependencies(self, added: Sequence[Dependency]) -> None:
        for dependency in added:
            self._db.dependencies.add(dependency)
            self._undo.append(partial(self._db.dependencies.remove, dependency))

    def wait_again(self, parent_ids: Sequence[str], *, are_new: bool = False) -> None:
        again = set(parent_ids)
        for step in self._in_status("waiting"):
            if are_new and step.version == 1:
                continue
            for parent_id, kind in parents_of(step.parents).items():
                if parent_id in again and not self._db.dependencies.has(parent_id, step.step_id):
                    self.write_dependencies([Dependency(parent_id, step.step_id, kind)])

    def delete_dependencies(self, removed: Sequence[Dependency]) -> None:
        for dependency in removed:
            self._db.dependencies.remove(dependency)
            self._undo.append(partial(self._db.dependencies.add, dependency))

    def delete_dependencies_of(self, step_ids: Sequence[str]) -> None:
        self.delete_dependencies(self.dependencies_of(step_ids))

    def delete_inbox_rows(self, last: InboxRow) -> None:
        taken = [row for row in self._db.inbox if row.row_id <= last.row_id]
        del self._db.inbox[: len(taken)]
        self._undo.append(lambda: self._db.inbox.__setitem__(slice(0, 0), taken))

    def prune_steps(self, steps: Sequence[FinalStep], before: int) -> Pruned:
        step_ids = [
            final.step_id
            for final in steps
            if (step := self._db.steps.get(final.step_id)) is not None
            and step.version == final.version
            and step.last_update_ts <= before
        ]
        needed = self._parents_of_open_steps()
        step_ids = [step_id for step_id in step_ids if step_id not in needed]
        for step_id in step_ids:
            self._forget(step_id)
            self.delete_dependencies_of([step_id])
            self.delete_dependencies(self._db.dependencies.on(step_id))
        events = sum(len(self._db.step_log.pop(step_id)) for step_id in step_ids)
        return Pruned(len(step_ids), events)

    def prune_pod(self, pod: Pod) -> Pruned:
        if self._db.pods.get(pod.pod_id) != pod:
            return Pruned(0, 0)
        del self._db.pods[pod.pod_id]
        return Pruned(1, len(self._db.pod_log.pop(pod.pod_id)))

    def replace_steps(self, step_ids: Sequence[str], steps: Iterable[Step]) -> None:
        old = self.steps(step_ids)
        for step in old.values():
            self._forget(step.step_id)
            self._undo.append(partial(self._put, step, None))
        for step in steps:
            progress = old[step.step_id].progress if step.step_id in old else None
            self._keep(replace(step, progress=progress))

    def replace_queues(self, names: Sequence[str], queues: Iterable[Queue]) -> None:
        replaced = {queue.queue: queue for queue in queues}
        for name in names:
            old = self._db.queues.pop(name, None)
            if name in replaced:
                self._db.queues[name] = replaced[name]
            self._undo.append(partial(_put_back, self._db.queues, name, old))

    def replace_pods(self, pod_ids: Sequence[str], pods: Iterable[Pod]) -> None:
        for pod_id in pod_ids:
            old = self._db.pods.pop(pod_id, None)
            if old is not None:
                self._undo.append(partial(_restore, self._db.pods, pod_id, old))
        for pod in pods:
            self._db.pods[pod.pod_id] = pod
            self._undo.append(partial(_restore, self._db.pods, pod.pod_id, None))

    def roll_back(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _in_status(self, status: StepStatus) -> Iterator[Step]:
        return (self._db.steps[step_id] for step_id in self._db.by_status[status])

    def _parents_of_open_steps(self) -> set[str]:
        return {
            parent_id
            for status in OPEN
            for step in self._in_status(status)
            if step.parents is not None
            for parent_id in parents_of(step.parents)
        }

    def _status(self, step_id: str) -> StepStatus:
        return self._db.steps[step_id].status

    def _keep(self, step: Step) -> None:
        old = self._db.steps.get(step.step_id)
        self._put(step, old)
        self._undo.append(
            partial(self._forget, step.step_id) if old is None else partial(self._put, old, step)
        )

    def _put(self, step: Step, old: Step | None) -> None:
        if old is not None:
            self._db.by_status[old.status].pop(old.step_id, None)
        self._db.steps[step.step_id] = step
        self._db.by_status[step.status][step.step_id] = None
        if step.unique_key is not None:
            self._db.by_unique_key[step.unique_key][step.step_id] = None
        if step.status == "pending":
            self._db.queue.add(step)
        if step.start_by_ts is not None and step.status in ("pending", "waiting"):
            heapq.heappush(self._db.deadlines, (step.start_by_ts, step.step_id))

    def _forget(self, step_id: str) -> None:
        step = self._db.steps.pop(step_id)
        self._db.by_status[step.status].pop(step_id, None)
        if step.unique_key is not None:
            of_key = self._db.by_unique_key[step.unique_key]
            of_key.pop(step_id, None)
            if not of_key:
                del self._db.by_unique_key[step.unique_key]


class _Queue:
    """The pending steps in two heaps: those that were due at the latest call, in claim order, and
    the waiting ones by their due time. An entry whose step has changed is dropped when it is
    popped."""

    def __init__(self, steps: dict[str, Step]) -> None:
        self._steps = steps
        self._due: list[tuple[tuple[int, int, str], int]] = []
        self._waiting: list[tuple[int, str, int]] = []
        self._latest = 0  # the time of the latest call
        for step in steps.values():
            if step.status == "pending":
                self.add(step)

    def add(self, step: Step) -> None:
        self._latest = max(self._latest, step.last_update_ts)
        due = step.available_ts if step.available_ts > step.last_update_ts else AT_ONCE
        heapq.heappush(self._waiting, (due, step.step_id, step.version))

    def due(self, at: int, limit: int, limits: ClaimLimits | None, routes: Routes) -> list[Step]:
        self._move_due(at)
        steps: list[Step] = []
        popped: list[tuple[tuple[int, int, str], int]] = []
        while self._due and len(steps) < limit:
            entry = heapq.heappop(self._due)
            order, version = entry
            step = self._pending(order[2], version)
            if step is None or claim_order(step) != order or (popped and popped[-1] == entry):
                continue
            popped.append(entry)
            if not is_due(step, at) or not routes.serve(step.queue, step.task_type):
                continue
            if limits is None or limits.take(step):
                steps.append(step)
        for entry in popped:
            heapq.heappush(self._due, entry)
        return steps

    def next_due(self, at: int, routes: Routes) -> int | None:
        self._move_due(at)
        if routes is EVERYWHERE:
            return self._waiting[0][0] if self._waiting else None
        served = (
            due
            for due, step_id, version in self._waiting
            if (step := self._pending(step_id, version)) is not None
            and routes.serve(step.queue, step.task_type)
        )
        return min(served, default=None)

    def _move_due(self, at: int) -> None:
        """Move the steps that are due at ``at`` from the waiting heap to the other one. After the
        clock was set back, every waiting step is checked, as any retry may be due."""
        if at < self._latest:
            self._waiting = [
                (AT_ONCE if is_due(step, at) else due, step_id, version)
                for due, step_id, version in self._waiting
                if (step := self._pending(step_id, version)) is not None
            ]
            heapq.heapify(self._waiting)
        self._latest = at
        while self._waiting:
            due, step_id, version = self._waiting[0]
            step = self._pending(step_id, version)
            if step is not None and due > at:
                return
            heapq.heappop(self._waiting)
            if step is not None:
                heapq.heappush(self._due, (claim_order(step), version))

    def _pending(self, step_id: str, version: int) -> Step | None:
        step = self._steps.get(step_id)
        is_current = step is not None and step.status == "pending" and step.version == version
        return step if is_current else None


def _put_back(rows: dict[str, T], row_id: str, old: T | None) -> None:
    rows.pop(row_id, None)
    if old is not None:
        rows[row_id] = old


def _restore(rows: dict[str, T], row_id: str, old: T | None) -> None:
    if old is None:
        del rows[row_id]
    else:
        rows[row_id] = old


def _orphan(step: Step) -> Orphan:
    assert step.claim_token is not None
    assert step.claimed_by is not None
    assert step.incarnation is not None
    size = sum(map(len, (step.payload, step.error or "", step.traceback or "")))
    return Orphan(
        step.step_id,
        step.claim_token,
        step.claimed_by,
        step.incarnation,
        step.retry_count,
        step.max_retries,
        size,
    )
