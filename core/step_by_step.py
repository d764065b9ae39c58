"""Default implementations of the operations of a transaction, one step or pod at a time.

Each of them reads the state, calls ``decide`` and ``evolve``, and writes the events together with
the new state.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final

from fleet_q.core import inbox
from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.changes import Changes
from fleet_q.core.claim_limits import ClaimLimits
from fleet_q.core.errors import (
    IllegalTransition,
    StaleClaim,
    StepConflict,
    UniqueKeyTaken,
    UnknownStep,
)
from fleet_q.core.inbox import INVALID_ROW, Intake, Rejection, read_row
from fleet_q.core.lifecycle import FINAL, StepStatus
from fleet_q.core.pod import DeclareDead, Pod, PodChange
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.queues import Queue, QueueChange, change_queue
from fleet_q.core.recovery import is_orphan
from fleet_q.core.routing import Routes
from fleet_q.core.schedules import ScheduleWrite
from fleet_q.core.spawning import Spawning, spawning_in, spawns
from fleet_q.core.step import (
    EXPIRED,
    Cancel,
    Change,
    Claim,
    Outcome,
    Recover,
    Reject,
    Replay,
    Restore,
    SaveCheckpoint,
    Step,
    Submit,
)

EXPIRE_BATCH: Final = 1_000
"""Expired steps that one transaction cancels, at most."""


class StepByStep(Spawning):
    """Implements the operations of :class:`~fleet_q.core.ports.Transaction` with its reads and
    writes, which a database provides. An override must have the same result."""

    def take_in(self, intake: Intake, by: str | None) -> bool:
        if not self.has_inbox_rows():
            return False
        rows = self.inbox(inbox.INBOX_BATCH, inbox.INBOX_BATCH_BYTES)
        together: list[Submit] = []
        rejected: list[Rejection] = []
        for row in rows:
            submit = read_row(row, self.at, intake)
            if isinstance(submit, Rejection):
                rejected.append(submit)
            elif submit.is_independent:
                together.append(submit)
            else:  # another step may have its id
                self.submit_many(together, by)
                together.clear()
                try:
                    self.submit_many([submit], by)
                except (StepConflict, UniqueKeyTaken) as conflict:
                    rejected.append(Rejection(row, INVALID_ROW.format(conflict)))
        self.submit_many(together, by)
        self._reject(rejected, intake, by)
        self.delete_inbox_rows(rows[-1])
        return self.has_inbox_rows()

    def _reject(self, rejected: Sequence[Rejection], intake: Intake, by: str | None) -> None:
        changes = Changes(self, by, [])
        for rejection in rejected:
            submit = rejection.dead_letter(intake.new_id(), intake.max_payload_bytes)
            changes.apply(submit)
            changes.apply(Reject(submit.step_id, rejection.error))
        changes.write()

    def peek(self, request: SyncRequest) -> SyncResult | None:
        self._decide_pod_command(request)
        if self.has_inbox_rows():
            return None
        may_claim, held_back = self.may_claim(request.routes, request.ends)
        if may_claim:
            return None
        return self._result(request, done=not request.only_if_claimable, held_back=held_back)

    def sync(self, request: SyncRequest, intake: Intake) -> SyncResult:
        pod_changes = self._decide_pod_command(request)
        has_rows = bool(request.claim) and self.take_in(intake, request.pod_id)
        if request.only_if_claimable and request.claim and not request.is_retry:
            may_claim, held_back = self.may_claim(request.routes, request.ends)
            if not may_claim:
                return self._result(request, done=False, more=has_rows, held_back=held_back)
        if pod_changes:
            self.write_pods(pod_changes)
        if request.progress:
            self.write_progress(request.progress)
        claimed = self._claim_once(request) if request.claim else ()
        refused = self.acknowledge(request.outcomes, request.pod_id) if request.outcomes else ()
        more, held_back = False, None
        if len(claimed) < request.claim:
            more, held_back = self.may_claim(request.routes)
        return self._result(request, claimed, refused, more=more or has_rows, held_back=held_back)

    def claim(self, request: SyncRequest) -> list[Step]:
        if self.expire(EXPIRE_BATCH, request.pod_id) == EXPIRE_BATCH:
            return []  # there may be more, which the next claim cancels
        return self.claim_first(request)

    def expire(self, limit: int, by: str | None) -> int:
        cancels = [Cancel(step_id, EXPIRED) for step_id in self.expired(limit)]
        return len(self.change_allowed(cancels, by)) if cancels else 0

    def claim_first(self, request: SyncRequest) -> list[Step]:
        """Claim steps, none of which has expired."""
        limits = self.limits(request.ends)
        claimable = self.claimable(request.claim, limits, request.routes)
        selected = steps.steps_to_claim(claimable, request.free, request.slots, limits)
        if limits is not None:
            self.write_queues([(None, queue) for queue in limits.after_claim(selected)])
        changes = Changes(self, request.pod_id, [])
        changes.add(selected)
        for step in selected:
            changes.apply(Claim(step.step_id, request.claim_token, request.incarnation))
        changes.write()
        return [changes.steps[step.step_id] for step in selected]

    def limits(self, ended: Collection[tuple[str, str]] = ()) -> ClaimLimits | None:
        """The limits of queues now, apart from the claims ``ended``; ``None`` if no queue has
        any."""
        return self._limits_of(self.limited_queues(), ended)

    def all_limits(self) -> ClaimLimits | None:
        """The limits of all queues that have any, whether steps wait in them or not; ``None`` if no
        queue has any."""
        return self._limits_of([queue for queue in self.queues() if queue.has_limits], ())

    def _limits_of(
        self, queues: Sequence[Queue], ended: Collection[tuple[str, str]]
    ) -> ClaimLimits | None:
        if not queues:
            return None
        counted = [queue.queue for queue in queues if queue.counts_running]
        running = self.running(counted, ended) if counted else {}
        return ClaimLimits(queues, running, self.at)

    def limited_queues(self) -> list[Queue]:
        return [queue for queue in self.queues() if queue.has_limits]

    def may_claim(
        self, routes: Routes, ended: Collection[tuple[str, str]] = ()
    ) -> tuple[bool, ClaimLimits | None]:
        """Whether a step may be claimed that ``routes`` serve, or a claim has to write the limits
        of queues; if not, the limits that hold back those that are due."""
        if not self.is_any_due(routes):
            return False, None
        limits = self.limits(ended)
        if limits is None or limits.is_any_ahead or self.claimable(1, limits, routes):
            return True, None
        return False, limits

    def acknowledge(self, outcomes: Sequence[Outcome], by: str) -> list[str]:
        if spawning := spawning_in(outcomes):
            others = [outcome for outcome in outcomes if not spawns(outcome)]
            rejected = self.acknowledge(others, by) if others else []
            return rejected + [o.step_id for o in spawning if not self.spawn(o, by)]
        changes = Changes(self, by, [outcome.step_id for outcome in outcomes])
        rejected = []
        for outcome in outcomes:
            try:
                changes.apply(outcome)
            except (StaleClaim, IllegalTransition, UnknownStep):
                rejected.append(outcome.step_id)
        changes.write()
        self.settle(_ended(outcomes, changes, rejected), by)
        return rejected

    def lost(self, claims: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        current = self.steps([step_id for step_id, _ in claims])
        return tuple(
            step_id
            for step_id, token in claims
            if (step := current.get(step_id)) is None or not step.is_claimed_under(token)
        )

    def change(self, commands: Sequence[Cancel] | Sequence[Replay], by: str | None) -> list[Step]:
        changes = Changes(self, by, [command.step_id for command in commands])
        before = dict(changes.steps)
        applied = self.with_parents(commands, changes, all_or_none=True)
        for command in applied:
            changes.apply(command)
        changes.write()
        self.follow(applied, before, by)
        return [changes.steps[command.step_id] for command in commands]

    def change_allowed(self, commands: Sequence[Change], by: str | None) -> list[str]:
        changes = Changes(self, by, [command.step_id for command in commands])
        before = dict(changes.steps)
        applied: list[Change | Restore] = []
        for command in self.with_parents(commands, changes, all_or_none=False):
            with suppress(IllegalTransition, UnknownStep):
                if changes.apply(command):
                    applied.append(command)
        changes.write()
        self.follow(applied, before, by)
        return [command.step_id for command in applied]

    def save_checkpoint(self, save: SaveCheckpoint, by: str | None) -> None:
        changes = Changes(self, by, [save.step_id])
        if save.step_id not in changes.steps:
            raise StaleClaim(save.step_id)
        changes.apply(save)
        changes.write()

    def recover(self, orphans: Sequence[Recover], by: str | None) -> list[Step]:
        pods_by_id = {pod.pod_id: pod for pod in self.pods()}
        changes = Changes(self, by, [orphan.step_id for orphan in orphans])
        recovered: list[Step] = []
        for orphan in orphans:
            step = changes.steps.get(orphan.step_id)
            if step is None or not is_orphan(step, pods_by_id):
                continue
            try:
                changes.apply(orphan)
            except StaleClaim:
                continue  # already recovered and claimed again; it is an orphan of that later claim
            recovered.append(changes.steps[orphan.step_id])
        changes.write()
        self.settle({s.step_id: s.status for s in recovered if s.status == "failed"}, by)
        return recovered

    def declare_dead(self, silent: Sequence[Pod], by: str | None) -> list[Pod]:
        changes: list[PodChange] = []
        for observed in silent:
            command = DeclareDead(
                observed.pod_id,
                observed.incarnation,
                observed.version,
                observed.last_heartbeat_ts,
            )
            change = pods.change(self.pod(observed.pod_id), command, self.at, by)
            if change is not None:
                changes.append(change)
        self.write_pods(changes)
        return [pod for _, pod in changes]

    def set_queue(self, queue: str, change: QueueChange, by: str | None) -> Queue:
        row = next((row for row in self.queues() if row.queue == queue), None)
        changed = change_queue(row, queue, change, self.at, by)
        if changed is None:
            return row or Queue(queue)
        self.write_queues([changed])
        return changed[1]

    def change_schedule(self, write: ScheduleWrite, by: str | None) -> bool:
        row = self.schedule(write.after.schedule)
        if ((0, 0) if row is None else (row.version, row.firings)) != write.expected:
            return False
        existing = self.statuses([step.step_id for step in write.steps])
        self.submit_many([step for step in write.steps if step.step_id not in existing], by)
        self.write_schedule(write.after, write.event)
        return True

    def _decide_pod_command(self, request: SyncRequest) -> list[PodChange]:
        """The changes of the request's pod command. Raises ``IncarnationEnded`` or
        ``IllegalTransition`` if the command is not allowed, or the claim after it."""
        if request.pod_command is None and not request.claim:
            return []
        changes: list[PodChange] = []
        pod = self.pod(request.pod_id)
        if request.pod_command is not None:
            change = pods.change(pod, request.pod_command, self.at, request.pod_id)
            if change is not None:
                _, pod = change
                changes.append(change)
        if request.claim:
            pods.check_may_claim(pod, request.pod_id, request.incarnation)
        return changes

    def _claim_once(self, request: SyncRequest) -> Sequence[Step]:
        """Claim steps; if the request is a retry and its first execution claimed some, return
        those."""
        if request.is_retry:
            already_claimed = self.claimed_under(
                request.pod_id, request.incarnation, request.claim_token
            )
            if already_claimed:
                return already_claimed
        return self.claim(request)

    def _result(
        self,
        request: SyncRequest,
        claimed: Sequence[Step] = (),
        refused: Sequence[str] = (),
        *,
        done: bool = True,
        more: bool = False,
        held_back: ClaimLimits | None = None,
    ) -> SyncResult:
        lost = self.lost(request.check_held) if request.check_held else ()
        if not request.claim:
            return SyncResult(self.at, tuple(claimed), tuple(refused), lost, ready=self.made_ready)
        any_claimed = bool(claimed) or self.is_any_claimed()
        return SyncResult(
            at=self.at,
            claimed=tuple(claimed),
            refused=tuple(refused),
            lost=lost,
            next_due=self._next_due(request.routes, held_back),
            any_claimed=any_claimed,
            done=done,
            more=more,
            held_back=held_back is not None,
            next_firing=None if claimed else self.next_firing(),
        )

    def _next_due(self, routes: Routes, held_back: ClaimLimits | None) -> int | None:
        next_due = self.next_due(routes)
        if held_back is None:
            return next_due
        times = [next_due, held_back.next_token()]
        return min((time for time in times if time is not None), default=None)


def _ended(
    outcomes: Sequence[Outcome], changes: Changes, rejected: Sequence[str]
) -> dict[str, StepStatus]:
    """The steps that these outcomes ended, with their statuses."""
    rejected_ids = set(rejected)
    return {
        step.step_id: step.status
        for outcome in outcomes
        if outcome.step_id not in rejected_ids
        and (step := changes.steps[outcome.step_id]).status in FINAL
    }
