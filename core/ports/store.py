"""The store port, which pods and apps use, and the traits of a store."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

import msgspec

from fleet_q.core.activity import ActivityPage
from fleet_q.core.alerts import Alert, AlertList
from fleet_q.core.attempts import AttemptList
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.log import LogFilter, LogPage
from fleet_q.core.pod import Pod
from fleet_q.core.ports.messages import (
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
from fleet_q.core.ports.starts import StartRecords
from fleet_q.core.queue_stats import QueueStats
from fleet_q.core.queues import Queue, QueueChange, QueueEvent
from fleet_q.core.schedules import ScheduleEvent, ScheduleList, ScheduleWrite
from fleet_q.core.search import StepFilter, StepList
from fleet_q.core.step import Change, Recover, SaveCheckpoint, Step, Submit
from fleet_q.core.workflows import WorkflowPage


class StoreTraits(msgspec.Struct, frozen=True):
    """The properties of a store that pods adapt to.

    - ``poll_interval``: seconds between two reads of the change counter by an idle pod, on a store
      where that read is nearly free; ``None``: once per claim interval.
    - ``writes_are_billed``: every write costs money, so a pod without work falls asleep.
    - ``prune_batch``: the number of steps read and pruned in one transaction.
    - ``most_waiters``: how many statements may wait for one lock before the store rejects others
      with ``StoreContended``; ``None``: no limit.
    - ``submission_size``: about how many bytes of payloads one call of ``submit`` takes.
    - ``shortest_sync``: about how many seconds a sync takes at least.
    - ``combines``: the store is a :class:`CombiningStore`; it records heartbeats without waiting
      for a lock.
    """

    poll_interval: float | None = None
    writes_are_billed: bool = False
    prune_batch: int = 200
    most_waiters: int | None = None
    submission_size: float = math.inf
    shortest_sync: float = 0.05
    combines: bool = False


class Store(Protocol):
    """Stores steps, pods and their events. Every call is one atomic transaction.

    Ids must be valid for :func:`~fleet_q.core.submission.check_id`. ``by`` and ``pod_id`` are
    who acts: a pod, or the name of a client or an operator; ``None``: one without a name.

    Any call may raise :class:`~fleet_q.core.errors.StoreUnavailable` (retry later; the call may or
    may not have taken effect) or :class:`~fleet_q.core.errors.StoreError` (do not retry).
    """

    @property
    def traits(self) -> StoreTraits:
        """The properties of the store that pods adapt to."""

    @property
    def starts(self) -> StartRecords | None:
        """The start records of pods; ``None`` if the store has none."""

    def submit(self, steps: Sequence[Submit], pod_id: str | None = None) -> list[SubmitResult]:
        """Store steps, all of them or none. A submission with the id or the unique key of another
        step is not stored; see :mod:`fleet_q.core.uniqueness`. Raises ``StepConflict``,
        ``UniqueKeyTaken``, and ``StoreError`` if an id that was promised to be unique exists."""

    def sync(self, request: SyncRequest) -> SyncResult:
        """Execute a pod's request. Raises ``IncarnationEnded`` if the incarnation has ended."""

    def change_counter(self) -> int:
        """A number that differs after every change of a step by another process. Reading it is the
        cheapest operation of a store."""

    def declare_dead(self, silent: Sequence[Pod], by: str | None = None) -> list[Pod]:
        """Declare these pods dead, except those whose rows have changed since they were read.
        Returns the pods that were declared dead."""

    def expire(self, limit: int, by: str | None = None) -> int:
        """Cancel up to ``limit`` of the steps for which :func:`~fleet_q.core.step.is_expired`
        holds; returns how many. Claims may do so, too, and take none of them."""

    def fold_heartbeats(self) -> bool:
        """Move heartbeats into the rows of their pods, in a store that keeps them elsewhere, and
        settle steps whose waits are over though no transaction ended them. Returns whether there
        were such steps, so that there may be more, or steps that :meth:`expire` has to cancel."""

    def orphans(self, after: str, limit: int) -> list[Orphan]:
        """Up to ``limit`` orphaned steps with ids greater than ``after``, ordered by id."""

    def recover(self, orphans: Sequence[Recover], by: str | None = None) -> list[Step]:
        """Make orphans pending again, or fail them. Returns the changed steps; those that are no
        longer orphans are skipped."""

    def cancel(self, step_id: str, pod_id: str | None = None) -> Step:
        """Cancel a step. Raises ``UnknownStep`` or ``IllegalTransition``."""

    def replay(self, step_ids: Sequence[str], pod_id: str | None = None) -> list[Step]:
        """Make failed or cancelled steps pending again, with all their tries. Raises
        ``UnknownStep`` or ``IllegalTransition``, and then replays none."""

    def change_allowed(self, commands: Sequence[Change], pod_id: str | None = None) -> list[str]:
        """Carry out those of the commands, which are all alike but for the step, that the lifecycle
        allows. Returns the ids of the steps that changed. It may be repeated."""

    def save_checkpoint(self, save: SaveCheckpoint, pod_id: str | None = None) -> None:
        """Save the checkpoint of a claimed step; stored when this returns. It may be repeated.
        Raises ``StaleClaim`` if the claim, or the version that ``save`` names, is not current."""

    def queues(self) -> list[Queue]:
        """The queues that have, or had, limits, ordered by name."""

    def set_queue(self, queue: str, change: QueueChange, by: str | None = None) -> Queue:
        """Change the limits of a queue, and return it. They hold from the next claim of every pod
        on. ``by`` is recorded in its history. ``change`` must be valid for
        :func:`~fleet_q.core.queues.checked`."""

    def queue_history(self, queue: str) -> list[QueueEvent]:
        """The changes of a queue's limits in order; empty if it never had any."""

    def schedules(self) -> ScheduleList:
        """All schedules, also those that were deleted, ordered by name."""

    def write_schedule(self, write: ScheduleWrite, by: str | None = None) -> bool:
        """Write a schedule and submit its steps, if its row has not changed since it was read.
        Returns whether it was written. ``by`` is who submits the steps."""

    def schedule_history(self, schedule: str) -> list[ScheduleEvent]:
        """The changes of a schedule in order; empty if there never was one."""

    def alerts(self) -> AlertList:
        """All alerts, also those that are over, ordered by name."""

    def write_alert(self, before: Alert | None, after: Alert | None) -> bool:
        """Write the row of an alert, if it has the version of ``before``; ``None``: there is no
        row, or is none afterwards. Returns whether it was written."""

    def step(self, step_id: str) -> Step | None:
        """The current state of a step. One that a row of the inbox will become is pending and has
        version 0."""

    def parents(self, step_id: str) -> list[Step] | None:
        """The steps that a step waits or waited for, in the order of its column ``parents``, except
        those that were pruned; ``None``: there is no such step."""

    def history(self, step_id: str) -> list[StepEvent]:
        """The events of a step in order; empty if there is no such step."""

    def counts(self) -> dict[StepStatus, int]:
        """The number of steps in each status."""

    def backlog(self) -> Backlog:
        """The number of steps that are not final, and the times that tell how many pods they need.
        Reads no step that is final."""

    def queue_stats(self, window: int) -> QueueStats:
        """The steps of each queue and task type that are not completed or cancelled, and how many
        ended in the last ``window`` microseconds. How long it takes does not depend on how many
        steps were completed before."""

    def pending_types(self) -> list[tuple[str, str]]:
        """The pairs of queue and task type of which steps are pending, in any order. Reads few rows
        of each, where an index allows it."""

    def pods(self) -> PodList:
        """All pods, ordered by id. Their descriptions may be left out: every pod of a fleet asks
        for this regularly."""

    def described_pods(self) -> PodList:
        """All pods, ordered by id, with their descriptions."""

    def declared_dead(self) -> set[str]:
        """The ids of the pods that are down because they were declared dead."""

    def dead_letters(self, limit: int, before: tuple[int, str] | None = None) -> StepPage:
        """A page of failed steps, newest first. ``before`` is the cursor of the previous page."""

    def list_steps(
        self, step_filter: StepFilter, limit: int, cursor: str | None = None
    ) -> StepList:
        """A page of the steps that a filter selects, up to ``limit``, the latest submission first.
        ``cursor`` is that of the previous page. While steps are added, no page skips or repeats
        another step."""

    def workflow_steps(
        self, workflow_id: str, limit: int, cursor: str | None = None
    ) -> WorkflowPage:
        """Up to ``limit`` steps of a workflow, in an order that the store chooses. ``cursor`` is
        that of the previous page."""

    def step_events(self) -> Iterator[StepEvent]:
        """All step events, ordered by id and version, read from one snapshot."""

    def final_steps(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str = ""
    ) -> FinalStepPage:
        """Up to ``limit`` steps for which :func:`~fleet_q.core.pruning.is_prunable` holds, in an
        order that the store chooses. ``after`` is the cursor of the previous page. A page may be
        empty without being the last."""

    def prune(self, steps: Sequence[FinalStep], before: int, by: str | None = None) -> Pruned:
        """Delete the steps that have not changed since :meth:`final_steps` returned them for
        ``before``, with all their events. A later submission under one of their ids is a new step
        and runs again."""

    def prune_pod(self, pod: Pod) -> Pruned:
        """Delete a pod with all its events if its row has not changed."""

    def events_of_steps(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        """The events of these steps, ordered by id and version, read from one snapshot."""

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        """The events of a pod in order."""

    def pod_events(self) -> Iterator[PodEvent]:
        """All pod events, ordered by id and version, read from one snapshot."""

    def queue_events(self) -> list[QueueEvent]:
        """All changes of queues' limits, ordered by name and version."""

    def schedule_events(self) -> list[ScheduleEvent]:
        """All changes of schedules, ordered by name and version."""

    def steps_at(
        self, moment: int, step_filter: StepFilter, limit: int, cursor: str | None = None
    ) -> StepList:
        """A page of the steps that a filter selects of those that existed at store time ``moment``,
        as they were then, the latest submission first. See :meth:`list_steps`, and
        :mod:`fleet_q.core.past`."""

    def activity(self, since: int, until: int, cursor: str | None = None) -> ActivityPage:
        """The changes of steps from store time ``since`` until before ``until``, counted. While
        steps change, several pages are not of one moment, but have all events of the span that were
        stored before the first was read."""

    def attempts(self, since: int, until: int, limit: int) -> AttemptList:
        """The latest ``limit`` of the attempts that overlap this span of store time."""

    def index_log(self, most_steps: int | None = None) -> bool:
        """Make the reads of the past fast, if the store needs an index for that and has about
        ``most_steps`` steps at most; returns whether they are. While the index is made, which takes
        some seconds for a million steps, nobody can write. It costs some time at each change."""

    def log(self, selected: LogFilter, limit: int, cursor: str | None = None) -> LogPage:
        """A page of the log in order of time: up to ``limit`` of the events that a filter selects.
        ``cursor`` is that of the previous page. On a large store it takes long, unless an index
        helps; it blocks nobody. Raises :class:`~fleet_q.core.errors.InvalidInput` for a cursor that
        no page has returned."""

    def rebuild(
        self, *, check: bool = False, progress: Callable[[int], None] | None = None
    ) -> RebuildReport:
        """Compare the tables with the log and, unless ``check``, correct the rows that differ.
        The report also says what was put in by hand: rows without events, and events that
        contradict the others of their step, which are left alone.

        The comparison blocks no writer, and each batch of rows is corrected in a short transaction
        of its own, so an interrupted rebuild can be repeated. ``progress`` is called from time to
        time with the number of step events folded so far.
        """

    def close(self) -> None:
        """Release the resources of the store; it cannot be used afterwards."""


class CombiningStore(Store, Protocol):
    """A store with a mailbox, for stores whose transactions wait for one lock.

    Pods post requests, and clients post submissions that need a check. A request in the mailbox is
    *served* by being executed as by :meth:`Store.sync` or :meth:`Store.submit`. All that wait are
    served in one transaction, the requests of pods before the submissions, each in the order in
    which they were posted, by a call of the sender of the oldest. That process may be dead: so one
    whose request has waited for ``patience`` seconds times the number of older ones that wait
    serves, too.

    ``number`` identifies a request within the incarnation of its pod. Every request is served at
    most once, and not after a later one of the same incarnation was posted. A request to join
    claims nothing; it is not served after a later process has posted one for the same pod, and then
    raises ``IncarnationEnded``.

    The methods return ``None`` while the request waits, and raise what :meth:`Store.sync` raises.
    After :class:`~fleet_q.core.errors.StoreUnavailable` the request may be in the mailbox, and
    :meth:`poll` continues.
    """

    def post(self, request: SyncRequest, number: int, patience: float) -> SyncResult | None:
        """Post a request, and serve if it is the oldest. One that only claims is not posted if no
        step is due."""

    def poll(self, request: SyncRequest, number: int, patience: float) -> SyncResult | None:
        """The result of the posted request if it has been served, or is served now. If it is not in
        the mailbox, post it."""

    def submit_checked(
        self, submission: CheckedSubmission, patience: float, *, is_posted: bool
    ) -> SubmissionResult | None:
        """Post a submission, unless it ``is_posted`` and waits or was served, and return its result
        if it has been served, or is served now."""
