"""The store port on Snowflake. Each method that writes calls one stored procedure, however many
steps it is about.

The rows that a call changed are found by its change id, the steps that a pod claimed by their claim
token.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from fleet_q.adapters import rows
from fleet_q.adapters.ids import INTAKE
from fleet_q.adapters.snowflake import past
from fleet_q.adapters.snowflake.alerts import read_alerts, write_alert
from fleet_q.adapters.snowflake.backlog import to_backlog
from fleet_q.adapters.snowflake.calls import Calls, by_id
from fleet_q.adapters.snowflake.change import change, change_allowed
from fleet_q.adapters.snowflake.inbox import Inbox
from fleet_q.adapters.snowflake.mailbox import Mailbox
from fleet_q.adapters.snowflake.migrate import check_version
from fleet_q.adapters.snowflake.privileges import check_privileges
from fleet_q.adapters.snowflake.prune import prune_pod, prune_steps
from fleet_q.adapters.snowflake.queues import set_queue
from fleet_q.adapters.snowflake.rebuild import Rebuilder
from fleet_q.adapters.snowflake.schedules import read_history, read_schedules, write_schedule
from fleet_q.adapters.snowflake.session import Session, new_change_id
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.stats import to_stats
from fleet_q.adapters.snowflake.submit import submit
from fleet_q.adapters.snowflake.sync import Sync
from fleet_q.adapters.snowflake.traits import TRAITS
from fleet_q.core import search, workflows
from fleet_q.core import step as steps
from fleet_q.core.activity import ActivityPage
from fleet_q.core.alerts import Alert, AlertList
from fleet_q.core.attempts import AttemptList
from fleet_q.core.dependencies import parents_of
from fleet_q.core.errors import StaleClaim
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.inbox import Intake
from fleet_q.core.lifecycle import POD, POD_STATUSES, StepStatus
from fleet_q.core.log import LogFilter, LogPage
from fleet_q.core.pod import Pod
from fleet_q.core.ports import (
    Backlog,
    CheckedSubmission,
    FinalStep,
    FinalStepPage,
    Orphan,
    PodList,
    Pruned,
    RebuildReport,
    StepPage,
    SubmissionResult,
    SubmitResult,
    SyncRequest,
    SyncResult,
)
from fleet_q.core.queue_stats import QueueStats
from fleet_q.core.queues import Queue, QueueChange, QueueEvent
from fleet_q.core.schedules import ScheduleEvent, ScheduleList, ScheduleWrite
from fleet_q.core.search import StepFilter, StepList, StepSummary
from fleet_q.core.step import Cancel, Change, Recover, Replay, SaveCheckpoint, Step, Submit
from fleet_q.core.workflows import Moment, WorkflowPage, WorkflowStep

PATIENCE: Final = 60.0
"""Seconds for which a call is retried before it raises ``StoreUnavailable``."""


class SnowflakeStore:
    """A store in one Snowflake schema.

    ``connection`` are the parameters of the connector's ``connect``, ``prefix`` begins the names
    of the tables. Any thread may use it, one call at a time. A call is retried for ``patience``
    seconds; what only pods call is tried once, as pods have a backoff of their own. A result must
    arrive within ``fetch_timeout`` seconds, if it is given. ``intake`` is for rows of the inbox.
    """

    traits = TRAITS
    starts = None

    def __init__(
        self,
        connection: Mapping[str, Any],
        *,
        prefix: str = "",
        patience: float = PATIENCE,
        fetch_timeout: float | None = None,
        intake: Intake = INTAKE,
    ) -> None:
        self.session = Session(connection, Statements(prefix), fetch_timeout)
        self._patience = patience
        self._calls = Calls(self.session, patience)
        self._inbox = Inbox(self._calls, intake)
        self._sync = Sync(self._calls)
        self._mailbox = Mailbox(self.session, self._sync, self._inbox)

    def check_schema(self) -> None:
        """Sign in and check the tables. Raises :class:`StoreError` if they are missing or have
        another schema version. Like :meth:`check_privileges`, it is retried for :data:`PATIENCE`
        seconds at most, since a process that starts has no other way to wait."""
        versions = Calls(self.session, PATIENCE).query("schema_version")
        check_version(int(versions[0][0]) if versions else None)

    def check_privileges(self) -> None:
        """Raise :class:`StoreError` if the role may not call what pods call."""
        Calls(self.session, PATIENCE).patiently(lambda: check_privileges(self.session))

    def submit(self, new: Sequence[Submit], pod_id: str | None = None) -> list[SubmitResult]:
        """See :class:`fleet_q.core.ports.Store`, also for the methods below."""
        return submit(self, self.session, self._patience, new, pod_id)

    def sync(self, request: SyncRequest) -> SyncResult:
        return self._mailbox.sync(request)

    def post(self, request: SyncRequest, number: int, patience: float) -> SyncResult | None:
        return self._mailbox.post(request, number, patience)

    def poll(self, request: SyncRequest, number: int, patience: float) -> SyncResult | None:
        return self._mailbox.poll(request, number, patience)

    def submit_checked(
        self, submission: CheckedSubmission, patience: float, *, is_posted: bool
    ) -> SubmissionResult | None:
        return self._mailbox.submit_checked(submission, patience, is_posted=is_posted)

    def change_counter(self) -> int:
        count, min_version, inbox_rows, last_row = self.session.query("change_counter")[0]
        events = int(count) - (1 if min_version is None else int(min_version))
        return (events << 128) + (int(inbox_rows) << 64) + int(last_row or 0)

    def declare_dead(self, silent: Sequence[Pod], by: str | None = None) -> list[Pod]:
        if not silent:
            return []
        sources = (status for status in POD_STATUSES if POD.allows(status, "declared_dead"))
        becomes = [(status, POD.after(status, "declared_dead")) for status in sources]
        observed = [(p.pod_id, p.incarnation, p.version, p.last_heartbeat_ts) for p in silent]
        declared = self._calls.write(
            "declare_dead",
            "changed_pods",
            silent=rows.encode(observed),
            becomes=rows.encode(becomes),
            pod_id=by,
        )
        return [rows.to_pod(row) for row in declared or ()]

    def expire(self, limit: int, by: str | None = None) -> int:
        changed = self.session.call(
            "expire",
            most=limit,
            error=steps.EXPIRED,
            pod_id=by,
            change_id=f"{new_change_id()} expired",  # so that the event has the error
        )
        return int(changed[0][0])

    def fold_heartbeats(self) -> bool:
        may_be_unsettled = self._sync.may_be_unsettled
        answer = self.session.call(
            "fold_heartbeats", may_be_unsettled=may_be_unsettled, change_id=new_change_id()
        )
        has_settled = int(answer[0][0]) > 0
        if not has_settled:
            self._sync.on_settled()
        return has_settled

    def orphans(self, after: str, limit: int) -> list[Orphan]:
        return [Orphan(*row) for row in self._calls.query("orphans", after=after, limit=limit)]

    def recover(self, orphans: Sequence[Recover], by: str | None = None) -> list[Step]:
        claims = [(o.step_id, o.claim_token, o.never_began) for o in orphans]
        changed = self._calls.write(
            "recover",
            "changed_steps",
            claims=rows.encode(claims),
            claim_count=len(claims),
            error=steps.DIED,
            pod_id=by,
        )
        recovered = by_id(changed or ())
        return [recovered.pop(o.step_id) for o in orphans if o.step_id in recovered]

    def cancel(self, step_id: str, pod_id: str | None = None) -> Step:
        return change(self._calls, [Cancel(step_id)], "cancelled", pod_id)[0]

    def replay(self, step_ids: Sequence[str], pod_id: str | None = None) -> list[Step]:
        return change(self._calls, [Replay(step_id) for step_id in step_ids], "replayed", pod_id)

    def change_allowed(self, commands: Sequence[Change], pod_id: str | None = None) -> list[str]:
        return change_allowed(self._calls, commands, pod_id)

    def save_checkpoint(self, save: SaveCheckpoint, pod_id: str | None = None) -> None:
        def attempt() -> int:
            answer = self.session.call(
                "save_checkpoint",
                step_id=save.step_id,
                claim_token=save.claim_token,
                step_version=save.version,
                checkpoint=save.checkpoint,
                pod_id=pod_id,
                change_id=new_change_id(),
            )
            return int(answer[0][0])

        if self._calls.patiently(attempt) == 0:
            raise StaleClaim(save.step_id)

    def queues(self) -> list[Queue]:
        return [rows.to_queue(row) for row in self._calls.query("queues")]

    def set_queue(self, queue: str, change: QueueChange, by: str | None = None) -> Queue:
        changed = set_queue(self._calls, queue, change, by)
        self._mailbox.sees_limits()
        return changed

    def schedules(self) -> ScheduleList:
        return read_schedules(self._calls)

    def write_schedule(self, write: ScheduleWrite, by: str | None = None) -> bool:
        return write_schedule(self._calls, write, by)

    def schedule_history(self, schedule: str) -> list[ScheduleEvent]:
        return read_history(self._calls, schedule)

    def alerts(self) -> AlertList:
        return read_alerts(self._calls)

    def write_alert(self, before: Alert | None, after: Alert | None) -> bool:
        return write_alert(self._calls, before, after)

    def queue_history(self, queue: str) -> list[QueueEvent]:
        history = self._calls.query("queue_history", queue=queue)
        return [rows.to_queue_event(row) for row in history]

    def step(self, step_id: str) -> Step | None:
        step = self._calls.steps([step_id]).get(step_id)
        return self._inbox.step_of_row(step_id) if step is None else step

    def parents(self, step_id: str) -> list[Step] | None:
        step = self.step(step_id)
        if step is None:
            return None
        parents = parents_of(step.parents)
        found = self._calls.steps(list(parents)) if parents else {}
        return [found[parent_id] for parent_id in parents if parent_id in found]

    def history(self, step_id: str) -> list[StepEvent]:
        return [rows.to_step_event(row) for row in self._calls.query("history", step_id=step_id)]

    def counts(self) -> dict[StepStatus, int]:
        return rows.to_counts((status, int(count)) for status, count in self._calls.query("counts"))

    def backlog(self) -> Backlog:
        return to_backlog(self._calls.query("backlog"))

    def queue_stats(self, window: int) -> QueueStats:
        return to_stats(self._calls.query("queue_stats", window=window), window)

    def pending_types(self) -> list[tuple[str, str]]:
        return [(queue, task_type) for queue, task_type in self._calls.query("pending_types")]

    def pods(self) -> PodList:
        return self._pods("pods")

    def described_pods(self) -> PodList:
        return self._pods("described_pods")

    def _pods(self, statement: str) -> PodList:
        pod_rows = self._calls.query(statement)
        at, next_firing, *_ = pod_rows[0]
        pods = tuple(rows.to_pod(row[2:]) for row in pod_rows if row[2])
        return PodList(at, pods, next_firing)

    def declared_dead(self) -> set[str]:
        return {pod_id for (pod_id,) in self._calls.query("declared_dead")}

    def dead_letters(self, limit: int, before: tuple[int, str] | None = None) -> StepPage:
        before_ts, before_id = before or (None, None)
        step_rows = self._calls.query(
            "dead_letters", limit=limit, before_ts=before_ts, before_id=before_id
        )
        return StepPage.of([rows.to_step(row) for row in step_rows], limit)

    def list_steps(
        self, step_filter: StepFilter, limit: int, cursor: str | None = None
    ) -> StepList:
        before_ts, before_id = (None, None) if cursor is None else search.to_place(cursor)
        found = self._calls.query(
            "list_steps",
            **rows.filter_values(step_filter),
            labels=past.pattern(step_filter.label_pairs()),
            before_ts=before_ts,
            before_id=before_id,
            limit=limit,
        )
        steps = [StepSummary(*row[1:]) for row in found if row[1] is not None]
        return search.page(found[0][0], steps, limit, len(steps))

    def workflow_steps(
        self, workflow_id: str, limit: int, cursor: str | None = None
    ) -> WorkflowPage:
        found = self._calls.query(
            "workflow_steps", workflow_id=workflow_id, after=cursor or "", limit=limit
        )
        steps = [WorkflowStep(*row[1:]) for row in found if row[1] is not None]
        moments = self._calls.query("moments", **rows.moments_of(steps)) if steps else []
        return workflows.page(found[0][0], steps, (Moment(*row) for row in moments), limit)

    def step_events(self) -> Iterator[StepEvent]:
        return map(rows.to_step_event, self.session.stream("step_events"))

    def final_steps(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str = ""
    ) -> FinalStepPage:
        final_steps = self._calls.query(
            "final_steps",
            statuses=rows.encode(list(statuses)),
            before=before,
            limit=limit,
            after=after,
        )
        page = tuple(FinalStep(step_id, int(version)) for step_id, version in final_steps)
        return FinalStepPage(page, page[-1].step_id if len(page) == limit else None)

    def prune(self, steps: Sequence[FinalStep], before: int, by: str | None = None) -> Pruned:
        return prune_steps(self._calls, steps, before, by)

    def prune_pod(self, pod: Pod) -> Pruned:
        return prune_pod(self._calls, pod)

    def events_of_steps(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        event_rows = self.session.stream("events_of_steps", step_ids=rows.encode(step_ids))
        return map(rows.to_step_event, event_rows)

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        return map(rows.to_pod_event, self.session.stream("pod_history", pod_id=pod_id))

    def pod_events(self) -> Iterator[PodEvent]:
        return map(rows.to_pod_event, self.session.stream("pod_events"))

    def queue_events(self) -> list[QueueEvent]:
        return [rows.to_queue_event(row) for row in self._calls.query("queue_events")]

    def schedule_events(self) -> list[ScheduleEvent]:
        return [rows.to_schedule_event(row) for row in self._calls.query("schedule_events")]

    def steps_at(
        self, moment: int, step_filter: StepFilter, limit: int, cursor: str | None = None
    ) -> StepList:
        return past.steps_at(self._calls, moment, step_filter, limit, cursor)

    def activity(self, since: int, until: int, cursor: str | None = None) -> ActivityPage:
        return past.activity_page(self.session, since, until)

    def attempts(self, since: int, until: int, limit: int) -> AttemptList:
        return past.attempt_list(self.session, since, until, limit)

    def index_log(self, most_steps: int | None = None) -> bool:
        return True

    def log(self, selected: LogFilter, limit: int, cursor: str | None = None) -> LogPage:
        return past.log_page(self._calls, selected, limit, cursor)

    def rebuild(
        self, *, check: bool = False, progress: Callable[[int], None] | None = None
    ) -> RebuildReport:
        return Rebuilder(self._calls).rebuild(check=check, progress=progress)

    def close(self) -> None:
        self.session.close()
