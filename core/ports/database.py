"""The ports that a database implements: :class:`Database` and :class:`Transaction`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from fleet_q.core.activity import ActivityPage
from fleet_q.core.alerts import Alert
from fleet_q.core.attempts import AttemptList
from fleet_q.core.claim_limits import ClaimLimits, Running
from fleet_q.core.dependencies import Dependency, Dependent
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.inbox import InboxRow, Intake
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.log import LogFilter, LogPage
from fleet_q.core.pod import Pod, PodChange
from fleet_q.core.ports.messages import (
    Backlog,
    FinalStep,
    FinalStepPage,
    Orphan,
    Pruned,
    SubmitResult,
    SyncRequest,
    SyncResult,
)
from fleet_q.core.ports.store import StoreTraits
from fleet_q.core.queue_stats import QueueStats
from fleet_q.core.queues import Queue, QueueChange, QueueEvent, QueueWrite
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.schedules import Schedule, ScheduleEvent, ScheduleWrite
from fleet_q.core.search import StepFilter, StepList
from fleet_q.core.step import (
    Cancel,
    Change,
    Outcome,
    Recover,
    Replay,
    SaveCheckpoint,
    Step,
    Submit,
)
from fleet_q.core.workflows import WorkflowPage


class Transaction(Protocol):
    """An open transaction. Its reads see its writes; its writes are committed together or not at
    all."""

    at: int
    """The time by the store's clock, read once when the transaction began."""

    # Reads

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        """The steps with these ids, by id; ids without a step are omitted."""

    def steps_with_unique_keys(self, unique_keys: Collection[str]) -> list[Step]:
        """At least the steps with these unique keys for which
        :func:`~fleet_q.core.uniqueness.has_unique_key` holds, in any order."""

    def claimable(
        self, limit: int, limits: ClaimLimits | None = None, routes: Routes = EVERYWHERE
    ) -> list[Step]:
        """The first pending steps that are due, that ``routes`` serve and for which there is room
        within ``limits``, in :func:`~fleet_q.core.step.claim_order`; see
        :func:`~fleet_q.core.step.is_due`."""

    def running(self, queues: Sequence[str], ended: Collection[tuple[str, str]]) -> Running:
        """How many steps of these queues are claimed, by queue and key, apart from those with the
        claims ``ended``, pairs of step id and claim token."""

    def next_due(self, routes: Routes = EVERYWHERE) -> int | None:
        """The earliest ``available_ts`` of the pending steps that ``routes`` serve and that are not
        due. A hint: after the clock was set back, it may miss a step."""

    def is_any_due(self, routes: Routes = EVERYWHERE) -> bool:
        """Whether :meth:`claimable` would return a step if no queue had limits."""

    def expired(self, limit: int) -> list[str]:
        """The ids of up to ``limit`` steps for which :func:`~fleet_q.core.step.is_expired`
        holds."""

    def is_any_claimed(self) -> bool:
        """Whether any step is claimed."""

    def claimed_under(self, pod_id: str, incarnation: str, claim_token: str) -> list[Step]:
        """The steps that this incarnation holds under this claim token."""

    def orphans(self, after: str, limit: int) -> list[Orphan]:
        """Steps with ids greater than ``after`` for which
        :func:`~fleet_q.core.recovery.is_orphan` holds, ordered by id."""

    def dead_letters(self, limit: int, before: tuple[int, str] | None) -> list[Step]:
        """Failed steps with ``(last_update_ts, step_id)`` below ``before``, in descending order."""

    def list_steps(self, step_filter: StepFilter, limit: int, cursor: str | None) -> StepList:
        """See :meth:`Store.list_steps`."""

    def workflow_steps(self, workflow_id: str, limit: int, cursor: str | None) -> WorkflowPage:
        """See :meth:`Store.workflow_steps`."""

    def final_steps(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str
    ) -> FinalStepPage:
        """See :meth:`Store.final_steps`."""

    def counts(self) -> dict[StepStatus, int]:
        """The number of steps in every status, including zeros."""

    def backlog(self) -> Backlog:
        """See :meth:`Store.backlog`. A step is due if :func:`~fleet_q.core.step.is_due` holds."""

    def queue_stats(self, window: int) -> QueueStats:
        """See :meth:`Store.queue_stats`."""

    def pending_types(self) -> list[tuple[str, str]]:
        """See :meth:`Store.pending_types`."""

    def pods(self) -> list[Pod]:
        """All pods, ordered by id."""

    def declared_dead(self) -> set[str]:
        """See :meth:`Store.declared_dead`."""

    def pod(self, pod_id: str) -> Pod | None:
        """The pod with this id."""

    def queues(self) -> list[Queue]:
        """The queues that have a row, ordered by name."""

    def queue_history(self, queue: str) -> list[QueueEvent]:
        """The events of one queue, ordered by version."""

    def queue_events(self) -> Iterator[QueueEvent]:
        """All events of queues, ordered by name and version."""

    def has_inbox_rows(self) -> bool:
        """Whether the inbox has rows."""

    def inbox(self, limit: int, most_bytes: int) -> list[InboxRow]:
        """The first rows of the inbox, up to ``limit`` and about ``most_bytes``, in the order of
        their insertion; at least one, if there is any."""

    def inbox_row(self, step_id: str) -> InboxRow | None:
        """The first row of the inbox that submits a step with this id."""

    def all_steps(self) -> Iterator[Step]:
        """All steps, ordered by id. Streamed: memory stays bounded."""

    def history(self, step_id: str) -> list[StepEvent]:
        """The events of one step, ordered by version."""

    def events_of_steps(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        """The events of these steps, ordered by id and version. Streamed."""

    def step_events(self) -> Iterator[StepEvent]:
        """All step events, ordered by id and version. Streamed."""

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        """The events of one pod, ordered by version. Streamed."""

    def pod_events(self) -> Iterator[PodEvent]:
        """All pod events, ordered by id and version. Streamed."""

    def log(self, selected: LogFilter, limit: int, cursor: str | None) -> LogPage:
        """See :meth:`Store.log`."""

    def steps_at(
        self, moment: int, step_filter: StepFilter, limit: int, cursor: str | None
    ) -> StepList:
        """See :meth:`Store.steps_at`."""

    def activity(self, since: int, until: int, cursor: str | None) -> ActivityPage:
        """See :meth:`Store.activity`."""

    def attempts(self, since: int, until: int, limit: int) -> AttemptList:
        """See :meth:`Store.attempts`."""

    def statuses(self, step_ids: Sequence[str]) -> dict[str, StepStatus]:
        """The statuses of the steps with these ids, by id; ids without a step are omitted."""

    def has_dependencies(self) -> bool:
        """Whether any step waits for another or has fallen."""

    def dependents(self, ended: Mapping[str, StepStatus]) -> list[Dependent]:
        """The dependencies on these steps, which ended so, and on those that fall because of them:
        the waiting steps that need the success of one that failed, was cancelled or falls."""

    def parents_columns(self, step_ids: Sequence[str]) -> dict[str, str]:
        """The column ``parents`` of those of the steps that have any, by id."""

    def dependencies_of(self, step_ids: Sequence[str]) -> list[Dependency]:
        """The dependencies of these steps."""

    def with_dependencies(self, step_ids: Sequence[str]) -> set[str]:
        """Those of the steps that have dependencies."""

    def fallen(self, step_ids: Sequence[str]) -> list[str]:
        """The cancelled steps that depend on the success of one of these, or of others of them, and
        so on down."""

    def next_firing(self) -> int | None:
        """When the next schedule is to be looked at; ``None``: there is none. :meth:`sync` asks for
        it after :meth:`is_any_claimed`, so that both can be read together."""

    def schedules(self) -> list[Schedule]:
        """See :meth:`Store.schedules`."""

    def schedule(self, schedule: str) -> Schedule | None:
        """The schedule of this name."""

    def schedule_events(self) -> Iterator[ScheduleEvent]:
        """All changes of schedules, ordered by name and version."""

    def schedule_history(self, schedule: str) -> list[ScheduleEvent]:
        """See :meth:`Store.schedule_history`."""

    def alerts(self) -> list[Alert]:
        """See :meth:`Store.alerts`."""

    def alert(self, alert: str) -> Alert | None:
        """The alert of this name."""

    def waiting_below(self, step_ids: Sequence[str]) -> set[str]:
        """The steps that depend on one of these, or on others of them, and so on down."""

    # Writes

    def write_dependencies(self, added: Sequence[Dependency]) -> None:
        """Add dependencies. A step has at most one on each other step."""

    def wait_again(self, parent_ids: Sequence[str], *, are_new: bool = False) -> None:
        """Add a dependency on each of these steps, which are open again, to every waiting step that
        has it as a parent. ``are_new``: they are new, under the ids of steps that were pruned, so
        only steps that were restored since then have them as parents."""

    def delete_dependencies(self, removed: Sequence[Dependency]) -> None:
        """Delete dependencies."""

    def delete_dependencies_of(self, step_ids: Sequence[str]) -> None:
        """Delete all dependencies of these steps."""

    def write_steps(self, changes: Sequence[tuple[StepEvent, Step]]) -> None:
        """Append each event to the log and write the step after it. Version 1 is a new step; one
        transaction may change a step several times."""

    def write_progress(self, progress: Sequence[tuple[str, str, str]]) -> None:
        """Write the progress of those steps, given by id, claim token and JSON text, that are
        claimed so. It is no change of a step: it is not in the log."""

    def write_pods(self, changes: Sequence[PodChange]) -> None:
        """Append the events and write the pods. A pod without an event only sent a heartbeat."""

    def write_queues(self, changes: Sequence[QueueWrite]) -> None:
        """Append the events and write the queues. Without an event, only its tokens changed."""

    def write_schedule(self, schedule: Schedule, event: ScheduleEvent | None) -> None:
        """Append the event and write the schedule. Without an event, only its bookkeeping
        changed."""

    def delete_schedule(self, schedule: str) -> None:
        """Delete the row of a schedule."""

    def write_alert(self, alert: Alert) -> None:
        """Write the row of an alert."""

    def delete_alert(self, alert: str) -> None:
        """Delete the row of an alert."""

    def delete_inbox_rows(self, last: InboxRow) -> None:
        """Delete the rows of the inbox up to this one."""

    def prune_steps(self, steps: Sequence[FinalStep], before: int) -> Pruned:
        """Delete the steps that still have this version and did not change after ``before``, with
        their events."""

    def prune_pod(self, pod: Pod) -> Pruned:
        """Delete the pod with its events if its whole row is unchanged. Its version is not enough:
        a pod that was pruned and joined again starts at version 1."""

    def replace_steps(self, step_ids: Sequence[str], steps: Iterable[Step]) -> None:
        """Replace the rows with these ids by ``steps``; ids without a step are deleted."""

    def replace_queues(self, names: Sequence[str], queues: Iterable[Queue]) -> None:
        """Replace the rows with these names by ``queues``; names without a queue are deleted."""

    def replace_pods(self, pod_ids: Sequence[str], pods: Iterable[Pod]) -> None:
        """Replace the rows with these ids by ``pods``; ids without a pod are deleted."""

    # Operations on many steps or pods. `StepByStep` implements each of them with the reads and
    # writes above; an override has the same result with fewer statements.

    def submit_many(self, new: Sequence[Submit], by: str | None) -> list[SubmitResult]:
        """See :meth:`Store.submit`."""

    def take_in(self, intake: Intake, by: str | None) -> bool:
        """Make steps of the first rows of the inbox, and delete these rows; returns whether more
        are left."""

    def peek(self, request: SyncRequest) -> SyncResult | None:
        """The result of a claiming request if no step may be claimed and the inbox is empty,
        without writing anything; else ``None``, so that :meth:`sync` must be called. Raises what
        that raises."""

    def sync(self, request: SyncRequest, intake: Intake) -> SyncResult:
        """Execute a request. One that claims takes in rows of the inbox first. Raises
        ``IncarnationEnded``."""

    def claim(self, request: SyncRequest) -> list[Step]:
        """Claim the steps that :func:`~fleet_q.core.step.steps_to_claim` selects of those that
        :meth:`claimable` returns. Returns them as claimed, in claim order."""

    def expire(self, limit: int, by: str | None) -> int:
        """See :meth:`Store.expire`."""

    def acknowledge(self, outcomes: Sequence[Outcome], by: str) -> list[str]:
        """Apply the outcomes whose claim tokens are current; returns the ids of the others."""

    def lost(self, claims: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """The step ids of those claims (pairs of step id and claim token) that are not current."""

    def change(self, commands: Sequence[Cancel] | Sequence[Replay], by: str | None) -> list[Step]:
        """Apply all commands and return the changed steps. Raises ``UnknownStep`` or
        ``IllegalTransition``."""

    def change_allowed(self, commands: Sequence[Change], by: str | None) -> list[str]:
        """See :meth:`Store.change_allowed`."""

    def save_checkpoint(self, save: SaveCheckpoint, by: str | None) -> None:
        """See :meth:`Store.save_checkpoint`."""

    def recover(self, orphans: Sequence[Recover], by: str | None) -> list[Step]:
        """See :meth:`Store.recover`."""

    def declare_dead(self, silent: Sequence[Pod], by: str | None) -> list[Pod]:
        """See :meth:`Store.declare_dead`."""

    def settle(self, ended: Mapping[str, StepStatus], by: str | None) -> None:
        """Do what follows for other steps from these, which ended in these statuses: see
        :func:`fleet_q.core.dependencies.settle`."""

    def end_waits(self, ready: Sequence[str], fallen: Mapping[str, str], by: str | None) -> None:
        """Make the waiting steps ``ready``, and cancel those that fall with these errors."""

    def restore(self, step_ids: Sequence[str], by: str | None) -> None:
        """Make cancelled steps wait again."""

    def limited_queues(self) -> list[Queue]:
        """The queues that have limits and in which steps are due."""

    def change_schedule(self, write: ScheduleWrite, by: str | None) -> bool:
        """See :meth:`Store.write_schedule`."""

    def set_queue(self, queue: str, change: QueueChange, by: str | None) -> Queue:
        """See :meth:`Store.set_queue`."""


class Database(Protocol):
    """Begins transactions as context managers, which commit on a normal exit and roll back on an
    exception."""

    @property
    def traits(self) -> StoreTraits:
        """See :attr:`Store.traits`."""

    def change_counter(self) -> int:
        """See :meth:`Store.change_counter`."""

    def write(self) -> AbstractContextManager[Transaction]:
        """A serialized write transaction: no other writer changes what it read until it ends."""

    def read(self) -> AbstractContextManager[Transaction]:
        """A short, consistent read transaction that does not block writers."""

    def snapshot(self) -> AbstractContextManager[Transaction]:
        """A consistent read transaction that may last long without blocking anybody."""

    def index_log(self, most_steps: int | None) -> bool:
        """See :meth:`Store.index_log`."""

    def close(self) -> None:
        """Close the database; it cannot be used afterwards."""
