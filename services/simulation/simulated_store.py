"""The simulated store: the production ``EventStore`` over memory, with a mailbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from fleet_q.adapters.memory import MemoryTransaction
from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import FleetQError
from fleet_q.core.event_store import EventStore
from fleet_q.core.inbox import INBOX_BATCH, INBOX_BATCH_BYTES, InboxRow, Intake
from fleet_q.core.intake import IntakePlan
from fleet_q.core.pod import SendHeartbeat
from fleet_q.core.ports import (
    CheckedReplacement,
    CheckedSubmission,
    SubmissionResult,
    SyncRequest,
    SyncResult,
)
from fleet_q.core.step import Change, Reject, Step, Submit
from fleet_q.core.uniqueness import owners
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.mailbox import MOST_SERVED, Mailbox, Posted, Request, Result
from fleet_q.services.simulation.recording import RecordingDatabase


class View(msgspec.Struct, frozen=True):
    """What a pod finds in the mailbox about its request: whether it ``is_there``, whether it
    ``is_oldest`` of those that wait, and its ``result`` once it has been served."""

    is_there: bool
    is_oldest: bool
    result: Result | None


class SimulatedStore(EventStore):
    """``on_done`` is called with each request that was served, and its answer."""

    def __init__(
        self,
        database: RecordingDatabase,
        clock: Callable[[], float],
        on_done: Callable[[Actor, StoreCall, Any], object],
    ) -> None:
        super().__init__(database, Intake(new_id=self._new_id))
        self._database: RecordingDatabase = database
        self._rejected = 0
        self.mailbox = Mailbox(database, clock)
        self._on_done = on_done

    def _new_id(self) -> str:
        self._rejected += 1
        return f"rejected-{self._rejected}"

    def insert(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows into the inbox."""
        self._database.put_into_inbox(rows)

    def inbox(self) -> tuple[list[InboxRow], int]:
        """The first rows of the inbox, and the store's time."""
        with self._database.read() as tx:
            return tx.inbox(INBOX_BATCH, INBOX_BATCH_BYTES), tx.at

    def take_in(self, plan: IntakePlan, read_at: int) -> SubmissionResult | None:
        """Carry out a plan for rows that were read at ``read_at``. ``None``: others have taken them
        in."""
        waiting = {row.row_id for row in self._database.inbox}
        if not waiting.issuperset(row.row_id for row in plan.rows):
            return None
        submission = plan.submission
        self._database.read_at = read_at
        try:
            with self._database.write() as tx:
                if not _is_storable(tx, submission):
                    return SubmissionResult(False, _in_the_way(tx, submission))
                tx.submit_many(_all_steps(submission), submission.by)
                rejections = [Reject(step_id, error) for step_id, error in plan.errors.items()]
                tx.change_allowed(cast("list[Change]", rejections), submission.by)
                tx.delete_inbox_rows(plan.rows[-1])
        finally:
            self._database.read_at = None
        return SubmissionResult(True)

    def peek(self, request: SyncRequest) -> SyncResult | None:
        """The answer to a claim if no step is due."""
        with self._database.read() as tx:
            return tx.peek(request)

    def heartbeat(self, request: SyncRequest) -> bool:
        """Record the heartbeat of a request. False if the pod is asleep, so that it has to be
        woken."""
        with self._database.read() as tx:
            pod = tx.pod(request.pod_id)
        if pod is not None and pod.status == "asleep":
            return False
        self.sync(SyncRequest(request.pod_id, request.incarnation, request.pod_command))
        return True

    def result(self, request: SyncRequest) -> SyncResult:
        """What a request that changes nothing is told."""
        return self.sync(request)

    def put(self, actor: Actor, request: Request, number: int) -> None:
        """Insert a request into the mailbox. It is a heartbeat, too; if its incarnation has ended,
        the pod is told by the result."""
        if isinstance(request, SyncRequest) and isinstance(request.pod_command, SendHeartbeat):
            try:
                was_awake = self.heartbeat(request)
            except FleetQError:
                was_awake = False
            if was_awake:
                request = replace(request, pod_command=None)
        self.mailbox.post(actor, request, number)

    def look(self, request: Request, number: int, patience: float) -> View:
        """What a pod finds about its request."""
        row = self.mailbox.find(request, number)
        if row is not None and row.served:
            return View(True, False, self.mailbox.result(row))
        is_oldest = self.mailbox.is_oldest(request, number, patience)
        return View(row is not None, is_oldest, None)

    def mark(self) -> list[Posted]:
        """The requests that a transaction marks as served by it."""
        return self.mailbox.servable()[:MOST_SERVED]

    def serve(self, marked: Sequence[Posted]) -> None:
        """Carry out the requests that were marked, those of pods first."""
        taken: set[str] = set()  # ids in submissions
        for row in sorted(marked, key=lambda row: isinstance(row.request, CheckedSubmission)):
            self.mailbox.on_served(row)
            if isinstance(row.request, CheckedSubmission):
                self._store(row, row.request, taken)
            else:
                self._sync(row, row.request)

    def _sync(self, row: Posted, request: SyncRequest) -> None:
        is_retry = request.is_retry or not request.only_if_claimable
        request = replace(request, is_retry=is_retry)
        answer = None
        try:
            answer = self.sync(request)
            row.refused = answer.refused
        except FleetQError as error:
            row.error = error
        self._on_done(row.actor, StoreCall("sync", (request,)), answer)

    def _store(self, row: Posted, submission: CheckedSubmission, taken: set[str]) -> None:
        """Store steps, unless one of their ids or unique keys is taken by a step or is in an older
        submission, or a step that is to be replaced has changed."""
        names = {*submission.ids, *submission.unique_keys}
        with self._database.read() as tx:
            row.is_stored = taken.isdisjoint(names) and _is_storable(tx, submission)
        taken |= names
        if row.is_stored:
            call = StoreCall("submit", (_all_steps(submission), submission.by))
            self._on_done(row.actor, call, call.on(self))


def _all_steps(submission: CheckedSubmission) -> tuple[Submit, ...]:
    return (*submission.steps, *(each.by for each in submission.replacements))


def _is_storable(tx: MemoryTransaction, submission: CheckedSubmission) -> bool:
    """Whether no step has an id or a unique key of the submission, and those that it replaces are
    as they were read."""
    replaced = tx.steps([each.step_id for each in submission.replacements])
    return (
        not tx.steps([new.step_id for new in submission.steps])
        and not owners(tx.steps_with_unique_keys(submission.unique_keys), tx.at)
        and all(_is_as_read(replaced, each) for each in submission.replacements)
    )


def _in_the_way(tx: MemoryTransaction, submission: CheckedSubmission) -> tuple[Step, ...]:
    of_keys = owners(tx.steps_with_unique_keys(submission.unique_keys), tx.at).values()
    existing = tx.steps(submission.ids) | {step.step_id: step for step in of_keys}
    return tuple(existing.values())


def _is_as_read(steps: dict[str, Step], replacement: CheckedReplacement) -> bool:
    step = steps.get(replacement.step_id)
    return step is not None and (step.status, step.version) == ("pending", replacement.version)
