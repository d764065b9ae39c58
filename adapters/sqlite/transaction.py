"""A transaction on a SQLite file."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import msgspec
from msgspec.structs import asdict

from fleet_q.adapters import rows
from fleet_q.adapters.columns import ROWS
from fleet_q.adapters.sqlite import past, search, search_past, stats, submissions
from fleet_q.adapters.sqlite.candidates import Pair, Waiting, all_served, candidates, served
from fleet_q.adapters.sqlite.dependencies import SqliteDependencies
from fleet_q.adapters.statements import statements
from fleet_q.core.activity import ActivityPage
from fleet_q.core.alerts import Alert
from fleet_q.core.attempts import AttemptList
from fleet_q.core.backlog import PendingGroup, backlog_of
from fleet_q.core.briefs import Brief
from fleet_q.core.claim_limits import ClaimLimits, Running
from fleet_q.core.errors import StoreError
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.inbox import InboxRow, first_rows
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.log import LogFilter, LogPage
from fleet_q.core.pod import Pod, PodChange
from fleet_q.core.ports import (
    Backlog,
    FinalStep,
    FinalStepPage,
    Orphan,
    Pruned,
    SubmitResult,
    SyncRequest,
    SyncResult,
)
from fleet_q.core.pruning import is_prunable
from fleet_q.core.queue_stats import QueueStats, stats_of_types
from fleet_q.core.queues import Queue, QueueEvent, QueueWrite
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.schedules import Schedule, ScheduleEvent
from fleet_q.core.search import StepFilter, StepList
from fleet_q.core.step import (
    MAX_CLAIM_SIZE,
    Complete,
    Outcome,
    Step,
    Submit,
    claim_order,
    steps_to_claim,
)
from fleet_q.core.step_by_step import EXPIRE_BATCH
from fleet_q.core.workflows import Moment, WorkflowPage, WorkflowStep
from fleet_q.sql.render import by_place

Row = Sequence[Any]

_SQL: Final = statements("sqlite")


class _RowStatement:
    """A statement for ``executemany`` whose values are attributes of a struct, bound by position in
    the order of ``names``."""

    def __init__(self, name: str, names: Sequence[str]) -> None:
        self.text = by_place(_SQL[name], names)
        self.row_of: Callable[[Any], Row] = attrgetter(*names)


_INSERT_STEP: Final = _RowStatement("submit_step", submissions.SUBMITTED)
_UPDATE_STEP: Final = _RowStatement(
    "update_step", ["step_id", *ROWS.changing, "last_update_ts", "version"]
)
_PUT_STEP: Final = _RowStatement("put_step", list(ROWS.step))
_UPSERT_POD: Final = _RowStatement("upsert_pod", list(ROWS.pod))
_UPSERT_QUEUE: Final = _RowStatement("upsert_queue", list(ROWS.queue))
_INSERT_QUEUE_EVENT: Final = _RowStatement("insert_queue_event", list(ROWS.queue_event))
_UPSERT_ALERT: Final = _RowStatement("upsert_alert", list(ROWS.alert))
_UPSERT_SCHEDULE: Final = _RowStatement("upsert_schedule", list(ROWS.schedule))
_INSERT_SCHEDULE_EVENT: Final = _RowStatement("insert_schedule_event", list(ROWS.schedule_event))
_INSERT_STEP_EVENT: Final = by_place(_SQL["insert_step_event"], list(ROWS.step_event))
_INSERT_POD_EVENT: Final = by_place(_SQL["insert_pod_event"], list(ROWS.pod_event))

_INBOX_COLUMNS: Final = InboxRow.__struct_fields__
_decode_steps = msgspec.json.Decoder(list[Step]).decode


class SqliteTransaction(SqliteDependencies):
    """A :class:`fleet_q.core.ports.Transaction`. Submissions, claims and successes, the most
    frequent changes, take a few statements for many steps: while SQLite runs a statement, other
    threads run Python code."""

    is_marked_by_new_clock = False
    clock_was_set_back = False  # so retries may be due that are not marked yet
    _is_any_expired = False  # known when _has_no_delayed is
    took_first = True  # whether the last claim took the first steps that wait, as most do
    _refusal: str | None = None
    _next_firing: list[int | None] | None = None  # as it was read together with other things
    _peeked: Row | None = None  # what a peek has read

    def __init__(self, connection: sqlite3.Connection, at: int, *, may_write: bool) -> None:
        self.at = at
        self._may_write = may_write
        self._connection = connection

    def refuse(self, why: str) -> None:
        """Make every later call raise :class:`StoreError` with the message ``why``."""
        self._refusal = why
        self._connection = _Refused(why)  # type: ignore[assignment]

    def check(self) -> None:
        """Raise :class:`StoreError` after :meth:`refuse`."""
        if self._refusal is not None:
            raise StoreError(self._refusal)

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        steps = self._select_steps("steps", {"step_ids": rows.encode(step_ids)})
        return {step.step_id: step for step in steps}

    def steps_with_unique_keys(self, unique_keys: Collection[str]) -> list[Step]:
        values = {"unique_keys": rows.encode(list(unique_keys)), "now": self.at}
        return self._select_steps("steps_with_unique_keys", values)

    def claimable(
        self, limit: int, limits: ClaimLimits | None = None, routes: Routes = EVERYWHERE
    ) -> list[Step]:
        first = candidates(self._run, all_served(self._run, routes), limit, limits, self.at)
        by_id = self.steps([candidate.step_id for candidate in first])
        return [by_id[candidate.step_id] for candidate in first]

    def may_claim(
        self, routes: Routes, ended: Collection[tuple[str, str]] = ()
    ) -> tuple[bool, ClaimLimits | None]:
        """See :class:`StepByStep`. A read transaction cannot mark delayed steps as due: that they
        may be claimed is assumed, and the write transaction that follows finds it out."""
        first, last, first_has_limits, last_has_limits, is_any_delayed = self._pending_pairs()
        if first is None and not (is_any_delayed or self.clock_was_set_back):  # the pod is idle
            return False, None
        ends = served(first, first_has_limits, routes) + served(last, last_has_limits, routes)
        if any(not w.has_limits and self._value("is_any_due", w[:2]) for w in ends):
            return True, None
        if not (ends or first != last or is_any_delayed or self.clock_was_set_back):
            return False, None
        answer = super().may_claim(routes, ended)
        if answer[1] is None:
            return answer
        is_marked = not self._is_any_unmarked(self._delayed(routes))
        if not self._may_write:
            return (True, None) if self.clock_was_set_back or not is_marked else answer
        if is_marked:
            return answer
        self._mark_due(routes)
        return super().may_claim(routes, ended)

    def expired(self, limit: int) -> list[str]:
        return [row[0] for row in self._run("expired", {"now": self.at, "limit": limit})]

    def limited_queues(self) -> list[Queue]:
        return [rows.to_queue(row) for row in self._run("queues_with_limits")]

    def running(self, queues: Sequence[str], ended: Collection[tuple[str, str]]) -> Running:
        values = {"queues": rows.encode(queues), "ended": rows.encode(list(ended))}
        running: dict[str, dict[str | None, int]] = {queue: {} for queue in queues}
        for queue, key, number in self._run("running", values):
            running[queue][key] = number
        return running

    def mark_due_by_new_clock(self) -> None:
        """Mark the retries as due that wait for a time before the clock was set back."""
        self.is_marked_by_new_clock = True
        self._run("mark_due_by_new_clock", {"now": self.at})

    def latest_heartbeat(self) -> int:
        """The latest heartbeat of any pod, in microseconds since the Unix epoch; 0 if there is
        none."""
        row: tuple[int] = self._run("latest_heartbeat").fetchone()
        return row[0]

    def next_due(self, routes: Routes = EVERYWHERE) -> int | None:
        times = [self._value("next_due", pair) for pair in self._delayed(routes)]
        return min([time for time in times if time is not None], default=None)

    def is_any_due(self, routes: Routes = EVERYWHERE) -> bool:
        waiting = self._waiting(routes)
        return (
            (self.clock_was_set_back and not self.is_marked_by_new_clock)
            or any(self._value("is_any_due", w[:2]) for w in waiting)
            or self._is_any_unmarked(self._delayed(routes))
        )

    def peek(self, request: SyncRequest) -> SyncResult | None:
        """See :class:`StepByStep`. What an idle pod needs is read by one statement."""
        *self._peeked, next_firing = self._run("peek", {"now": self.at}).fetchone()
        self._next_firing = [next_firing]
        return super().peek(request)

    def is_any_claimed(self) -> bool:
        if self._peeked is not None:
            return bool(self._peeked[-1])
        is_any_claimed, *self._next_firing = self._run("is_any_claimed").fetchone()
        return bool(is_any_claimed)

    def claimed_under(self, pod_id: str, incarnation: str, claim_token: str) -> list[Step]:
        return self._select_steps(
            "claimed_under",
            {"pod_id": pod_id, "incarnation": incarnation, "claim_token": claim_token},
        )

    def orphans(self, after: str, limit: int) -> list[Orphan]:
        return [Orphan(*row) for row in self._run("orphans", {"after": after, "limit": limit})]

    def dead_letters(self, limit: int, before: tuple[int, str] | None) -> list[Step]:
        if before is None:
            return self._select_steps("newest_dead_letters", {"limit": limit})
        return self._select_steps(
            "dead_letters", {"limit": limit, "before_ts": before[0], "before_id": before[1]}
        )

    def list_steps(self, step_filter: StepFilter, limit: int, cursor: str | None) -> StepList:
        return search.list_steps(self._run, self.at, step_filter, limit, cursor)

    def workflow_steps(self, workflow_id: str, limit: int, cursor: str | None) -> WorkflowPage:
        values = {"workflow_id": workflow_id, "after": int(cursor or 0), "limit": limit}
        found = self._run("workflow_steps", values).fetchall()
        steps = tuple(WorkflowStep(*row[1:]) for row in found)
        more = str(found[-1][0]) if found and len(found) == limit else None
        wanted = rows.moments_of(steps)
        moments = tuple(Moment(*row) for row in self._run("moments", wanted))
        return WorkflowPage(self.at, steps, moments, more)

    def counts(self) -> dict[StepStatus, int]:
        *counts, (_, total) = self._run("counts")
        completed = total - sum(count for _, count in counts)
        return rows.to_counts([*counts, ("completed", completed)])

    def backlog(self) -> Backlog:
        limits = self.all_limits()
        rooms = limits.rooms if limits is not None else {}
        limited = rows.encode(list(rooms))
        keyed = rows.encode([queue for queue, room in rooms.items() if room.per_key is not None])
        values = {"now": self.at, "limited": limited}
        claimed, inbox, *without_limits = self._run("backlog", values).fetchone()
        groups = [PendingGroup("", None, *without_limits)]
        if rooms:
            in_groups = self._run("backlog_within_limits", {**values, "keyed": keyed})
            groups += (PendingGroup(*row) for row in in_groups)
        return backlog_of(self.at, groups, limits, claimed, inbox)

    def queue_stats(self, window: int) -> QueueStats:
        since, groups = stats.groups_of_steps(self._run, self.at, window)
        paused = {queue.queue for queue in self.queues() if queue.paused}
        types = stats_of_types(groups, paused)
        inbox: int = self._run("count_inbox_rows").fetchone()[0]
        return QueueStats(self.at, since, self.counts(), types, inbox)

    def pending_types(self) -> list[Pair]:
        queued: set[Pair] = {row[:2] for row in self._run("waiting_types")}
        return [*queued.union(self._run("delayed_pairs"))]

    def pods(self) -> list[Pod]:
        return [rows.to_pod(row) for row in self._stream("pods")]

    def declared_dead(self) -> set[str]:
        return {pod_id for (pod_id,) in self._run("declared_dead")}

    def pod(self, pod_id: str) -> Pod | None:
        row = self._run("pod", {"pod_id": pod_id}).fetchone()
        return None if row is None else rows.to_pod(row)

    def queues(self) -> list[Queue]:
        return [rows.to_queue(row) for row in self._run("queues")]

    def queue_events(self) -> Iterator[QueueEvent]:
        return map(rows.to_queue_event, self._stream("queue_events"))

    def queue_history(self, queue: str) -> list[QueueEvent]:
        return [rows.to_queue_event(row) for row in self._run("queue_history", {"queue": queue})]

    def next_firing(self) -> int | None:
        if self._next_firing is None:
            self._next_firing = [*self._run("next_firing").fetchone()]
        return self._next_firing[0]

    def schedules(self) -> list[Schedule]:
        return [rows.to_schedule(row) for row in self._run("schedules")]

    def schedule(self, schedule: str) -> Schedule | None:
        row = self._run("schedule", {"schedule": schedule}).fetchone()
        return None if row is None else rows.to_schedule(row)

    def schedule_events(self) -> Iterator[ScheduleEvent]:
        return map(rows.to_schedule_event, self._stream("schedule_events"))

    def schedule_history(self, schedule: str) -> list[ScheduleEvent]:
        history = self._run("schedule_history", {"schedule": schedule})
        return [rows.to_schedule_event(row) for row in history]

    def has_inbox_rows(self) -> bool:
        if self._peeked is not None:
            return bool(self._peeked[-2])
        row: tuple[int] = self._run("has_inbox_rows").fetchone()
        return bool(row[0])

    def inbox(self, limit: int, most_bytes: int) -> list[InboxRow]:
        return first_rows(map(_inbox_row, self._run("inbox", {"limit": limit})), limit, most_bytes)

    def inbox_row(self, step_id: str) -> InboxRow | None:
        row = self._run("inbox_row", {"step_id": step_id}).fetchone()
        return None if row is None else _inbox_row(row)

    def history(self, step_id: str) -> list[StepEvent]:
        return [rows.to_step_event(row) for row in self._run("history", {"step_id": step_id})]

    def step_events(self) -> Iterator[StepEvent]:
        return map(rows.to_step_event, self._stream("step_events"))

    def pod_events(self) -> Iterator[PodEvent]:
        return map(rows.to_pod_event, self._stream("pod_events"))

    def has_log_index(self) -> bool:
        """Whether the log has an index of its times."""
        return self._run("has_log_index").fetchone() is not None

    def last_place(self) -> int:
        """The rowid of the last step that was submitted, about the number of steps; 0: none."""
        row: tuple[int | None] = self._run("last_place").fetchone()
        return row[0] or 0

    def steps_at(
        self, moment: int, step_filter: StepFilter, limit: int, cursor: str | None
    ) -> StepList:
        return search_past.steps_at(self._run, self.at, moment, step_filter, limit, cursor)

    def activity(self, since: int, until: int, cursor: str | None) -> ActivityPage:
        is_indexed = self.has_log_index()
        return past.activity_page(self._stream, is_indexed, since, until, cursor)

    def attempts(self, since: int, until: int, limit: int) -> AttemptList:
        if not self.has_log_index():
            return super().attempts(since, until, limit)
        return past.attempt_list(self._stream, since, until, limit)

    def _briefs(self) -> Iterator[Brief]:
        return past.briefs(self._stream("briefs"))

    def log(self, selected: LogFilter, limit: int, cursor: str | None) -> LogPage:
        return past.log_page(self._stream, self.at, selected, limit, cursor)

    def all_steps(self) -> Iterator[Step]:
        return (Step(*row) for row in self._stream("all_steps"))

    def write_steps(self, changes: Sequence[tuple[StepEvent, Step]]) -> None:
        self._has_no_delayed = None  # it is not known any more
        self._run_many(_INSERT_STEP_EVENT, [rows.step_event_row(event) for event, _ in changes])
        for is_new, group in groupby(changes, key=lambda change: change[0].version == 1):
            statement = _INSERT_STEP if is_new else _UPDATE_STEP
            self._run_many(statement.text, [statement.row_of(step) for _, step in group])

    def write_progress(self, progress: Sequence[tuple[str, str, str]]) -> None:
        names = ("step_id", "claim_token", "progress")
        values = [dict(zip(names, report, strict=True)) for report in progress]
        self._connection.executemany(_SQL["write_progress"], values)

    def write_pods(self, changes: Sequence[PodChange]) -> None:
        events = [rows.pod_event_row(event) for event, _ in changes if event is not None]
        self._run_many(_INSERT_POD_EVENT, events)
        self._run_many(_UPSERT_POD.text, [_UPSERT_POD.row_of(pod) for _, pod in changes])

    def write_queues(self, changes: Sequence[QueueWrite]) -> None:
        events = [_INSERT_QUEUE_EVENT.row_of(event) for event, _ in changes if event is not None]
        self._run_many(_INSERT_QUEUE_EVENT.text, events)
        self._run_many(_UPSERT_QUEUE.text, [_UPSERT_QUEUE.row_of(queue) for _, queue in changes])

    def write_schedule(self, schedule: Schedule, event: ScheduleEvent | None) -> None:
        self._next_firing = None
        if event is not None:
            self._run_many(_INSERT_SCHEDULE_EVENT.text, [_INSERT_SCHEDULE_EVENT.row_of(event)])
        self._run_many(_UPSERT_SCHEDULE.text, [_UPSERT_SCHEDULE.row_of(schedule)])

    def delete_schedule(self, schedule: str) -> None:
        self._run("delete_schedule", {"schedule": schedule})

    def alerts(self) -> list[Alert]:
        return [rows.to_alert(row) for row in self._run("alerts")]

    def alert(self, alert: str) -> Alert | None:
        row = self._run("alert", {"alert": alert}).fetchone()
        return None if row is None else rows.to_alert(row)

    def write_alert(self, alert: Alert) -> None:
        self._run_many(_UPSERT_ALERT.text, [_UPSERT_ALERT.row_of(alert)])

    def delete_alert(self, alert: str) -> None:
        self._run("delete_alert", {"alert": alert})

    def delete_inbox_rows(self, last: InboxRow) -> None:
        self._run("delete_inbox_rows", {"row_id": last.row_id})

    def final_steps(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str
    ) -> FinalStepPage:
        """The final steps among the next ``limit`` rows. There is no index of final steps, which
        every completion would have to update. Rows are in the order of their submission, so the
        search ends at a page in which no step was created before ``before``."""
        page = self._run("steps_by_age", {"after": int(after or 0), "limit": limit}).fetchall()
        steps = tuple(
            FinalStep(step_id, version)
            for _, step_id, version, status, _, last_update_ts in page
            if is_prunable(status, last_update_ts, statuses, before)
        )
        needed = self._parents_of_open_steps([step.step_id for step in steps])
        steps = tuple(step for step in steps if step.step_id not in needed)
        has_more = len(page) == limit and any(created_ts <= before for *_, created_ts, _ in page)
        return FinalStepPage(steps, str(page[-1][0]) if has_more else None)

    def events_of_steps(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        values = {"step_ids": rows.encode(step_ids)}
        return map(rows.to_step_event, self._stream("events_of_steps", values))

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        return map(rows.to_pod_event, self._stream("pod_history", {"pod_id": pod_id}))

    def prune_steps(self, steps: Sequence[FinalStep], before: int) -> Pruned:
        needed = self._parents_of_open_steps([step.step_id for step in steps])
        steps = [step for step in steps if step.step_id not in needed]
        values = {"ended": rows.encode(steps), "before": before}
        self._run("prune_dependencies", values)
        events = self._run("prune_step_events", values).rowcount
        return Pruned(self._run("prune_steps", values).rowcount, events)

    def prune_pod(self, pod: Pod) -> Pruned:
        values = asdict(pod)
        pruned = self._run("prune_pod", values).rowcount
        return Pruned(pruned, self._run("prune_pod_events", values).rowcount if pruned else 0)

    def submit_many(self, new: Sequence[Submit], by: str | None) -> list[SubmitResult]:
        """Submit with few statements if the caller guarantees that every id is new."""
        if not new or not submissions.insert(self._connection, new, self.at, by):
            return super().submit_many(new, by)
        return [SubmitResult(submit.step_id, True) for submit in new]

    def claim(self, request: SyncRequest) -> list[Step]:
        """See :meth:`~fleet_q.core.ports.Transaction.claim`.

        :func:`~fleet_q.core.step.steps_to_claim` almost always takes all of the first steps of the
        queue, for which there is a faster statement.
        """
        token = {"claim_token": request.claim_token}
        holder = {"now": self.at, "pod_id": request.pod_id, "incarnation": request.incarnation}
        rule = {"free": request.free, "most_bytes": MAX_CLAIM_SIZE}
        first = self._first_due(request, rule)
        if self._is_any_expired:
            if self.expire(EXPIRE_BATCH, request.pod_id) == EXPIRE_BATCH:
                return []  # there may be more, which the next claim cancels
            first = self._first_due(request, rule)
        ids, may_take_all = first or (self._select(request), True)
        updated = (
            self._run("claim", {"ids": ids, **holder, **token})
            if may_take_all
            else self._run("claim_some", {"ids": ids, **rule, **holder, **token})
        )
        if not updated.rowcount:
            return []
        self._run("append_claims", token)
        text: str = self._run("claimed", {**holder, **token}).fetchone()[0]
        return sorted(_decode_steps(text), key=claim_order)

    def _first_due(self, request: SyncRequest, rule: dict[str, int]) -> tuple[str, bool] | None:
        """The rowids of the first steps that wait, and whether the claim may take all of them;
        ``None`` if others come first in the order of claims, or if limits hold them back. That is
        not tried after a claim of which it was true: many claims in a row are of the same kind."""
        if not self.took_first:
            self._mark_due(request.routes)
            return None
        values = {"now": self.at, "limit": request.claim, **rule}
        *found, is_any_delayed, self._is_any_expired = self._run("first_due", values).fetchone()
        self._has_no_delayed = not is_any_delayed
        if is_any_delayed and self._mark_due(request.routes):
            *found, _, _ = self._run("first_due", values).fetchone()
        ids, may_take_all, first, last, has_limits = found
        self.took_first = (
            first == last and not has_limits and bool(served(first, 0, request.routes))
        )
        return (ids, bool(may_take_all)) if self.took_first else None

    def _pending_pairs(self) -> Row:
        row: Row = self._peeked or self._run("read_pending_pairs", {"now": self.at}).fetchone()
        is_any_delayed, self._is_any_expired = row[4:6]
        self._has_no_delayed = not is_any_delayed
        return row[:5]

    def _waiting(self, routes: Routes) -> Sequence[Waiting]:
        """The steps that wait and that ``routes`` serve."""
        first, last, has_limits, *_ = self._pending_pairs()
        return served(first, has_limits, routes) if first == last else all_served(self._run, routes)

    def _delayed(self, routes: Routes) -> list[Pair]:
        """The pairs of queue and task type that have delayed steps and that ``routes`` serve."""
        if self._has_no_delayed is None:
            row = self._run("is_any_delayed", {"now": self.at}).fetchone()
            self._has_no_delayed, self._is_any_expired = not row[0], bool(row[1])
        if self._has_no_delayed:
            return []
        return [pair for pair in self._run("delayed_pairs") if routes.serve(*pair)]

    def _mark_due(self, routes: Routes) -> bool:
        """Queue the delayed steps that are due; returns whether there are any."""
        marked = 0
        for queue, task_type in self._delayed(routes):
            values = {"queue": queue, "task_type": task_type, "now": self.at}
            marked += self._run("mark_due", values).rowcount
        return marked > 0

    def _is_any_unmarked(self, delayed: Iterable[Pair]) -> bool:
        """Whether a delayed step is due that no claim has marked yet."""
        return any(self._value("is_any_delayed_due", pair) for pair in delayed)

    def _value(self, name: str, pair: Pair) -> Any:
        values = {"queue": pair[0], "task_type": pair[1], "now": self.at}
        return self._run(name, values).fetchone()[0]

    def _select(self, request: SyncRequest) -> str:
        """The rowids of the steps to claim, as JSON; the tokens that they need are taken."""
        all_waiting = [Waiting(*row) for row in self._run("waiting_types")]
        waiting = [w for w in all_waiting if request.routes.serve(w.queue, w.task_type)]
        has_limits = any(w.has_limits for w in waiting)
        self.took_first = (
            len(all_waiting) < 2 and len(waiting) == len(all_waiting) and not has_limits
        )
        limits = self.limits(request.ends) if has_limits else None
        first = candidates(self._run, waiting, request.claim, limits, self.at)
        selected = steps_to_claim(first, request.free, request.slots, limits)
        if limits is not None:
            self.write_queues([(None, queue) for queue in limits.after_claim(selected)])
        return rows.encode([candidate.id for candidate in selected])

    def acknowledge(self, outcomes: Sequence[Outcome], by: str) -> list[str]:
        """Acknowledge with a few statements if all outcomes are successes of different steps
        without children."""
        successes = [o for o in outcomes if isinstance(o, Complete) and not o.children]
        if len({success.step_id for success in successes}) < len(outcomes):
            return super().acknowledge(outcomes, by)
        return self._complete(successes, by)

    def _complete(self, successes: Sequence[Complete], by: str) -> list[str]:
        """Complete the steps that are held under the successes' claim tokens; return the ids of the
        others."""
        results: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for success in successes:
            results[success.claim_token][success.step_id] = success.result
        rejected: list[str] = []
        for claim_token, by_id in results.items():
            values = {"claim_token": claim_token, "results": rows.encode(by_id)}
            self._run("append_completions", {"now": self.at, "pod_id": by, **values})
            completed = self._run("complete", {"now": self.at, **values}).rowcount
            if completed < len(by_id):
                rejected += [row[0] for row in self._run("rejected_completions", values)]
        if self.has_dependencies():
            ended = {success.step_id for success in successes}.difference(rejected)
            self.settle(dict.fromkeys(ended, "completed"), by)
        return rejected

    def replace_steps(self, step_ids: Sequence[str], steps: Iterable[Step]) -> None:
        self._run("delete_unknown_steps", {"step_ids": rows.encode(step_ids)})
        self._run_many(_PUT_STEP.text, map(_PUT_STEP.row_of, steps))

    def replace_queues(self, names: Sequence[str], queues: Iterable[Queue]) -> None:
        replaced = list(queues)  # before their rows, which have the tokens, are deleted
        self._run("delete_queues", {"queues": rows.encode(names)})
        self._run_many(_UPSERT_QUEUE.text, map(_UPSERT_QUEUE.row_of, replaced))

    def replace_pods(self, pod_ids: Sequence[str], pods: Iterable[Pod]) -> None:
        self._run("delete_pods", {"pod_ids": rows.encode(pod_ids)})
        self._run_many(_UPSERT_POD.text, map(_UPSERT_POD.row_of, pods))

    def _select_steps(self, name: str, values: dict[str, Any]) -> list[Step]:
        return [Step(*row) for row in self._run(name, values)]

    def _stream(self, name: str, values: dict[str, Any] | tuple[()] = ()) -> Iterator[Row]:
        return iter(self._run(name, values))

    def _run(self, name: str, values: dict[str, Any] | tuple[()] = ()) -> sqlite3.Cursor:
        return self._connection.execute(_SQL[name], values)

    def _run_many(self, text: str, values: Iterable[Row]) -> None:
        self._connection.executemany(text, values)


def _inbox_row(row: Row) -> InboxRow:
    """The row of the inbox. Its texts are read as bytes, since SQLite does not check that they are
    valid; what is not, is a lone surrogate, which core rejects."""
    values: list[Any] = [
        value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
        for value in row
    ]
    return InboxRow(**dict(zip(_INBOX_COLUMNS, values, strict=True)))


class _Refused:
    """Stands in for the connection of a refused transaction."""

    def __init__(self, why: str) -> None:
        self._why = why

    def execute(self, *args: object) -> object:
        raise StoreError(self._why)

    executemany = execute
