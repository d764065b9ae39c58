"""The operations of a transaction, one step after the other.

Every change goes the same way: read the state, ``decide``, ``evolve``, write both the event and
the new state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.errors import IllegalTransition, StaleClaim, UnknownStep
from fleet_q.core.events import StepEvent
from fleet_q.core.pod import DeclareDead, Pod, PodChange
from fleet_q.core.ports import SyncRequest, SyncResult, Transaction
from fleet_q.core.recovery import is_orphan
from fleet_q.core.step import Cancel, Claim, Outcome, Recover, Replay, Step, StepCommand, Submit


class StepByStep(Transaction):
    """Implements the operations of :class:`~fleet_q.core.ports.Transaction` by its reads and
    writes, which the database adds. An override must come to the same result."""

    def submit_many(self, new: Sequence[Submit], by: str | None) -> list[bool]:
        changes = _Changes(self, by, [s.step_id for s in new if not s.unique])
        fresh = [changes.apply(submit) for submit in new]
        changes.write()
        return fresh

    def peek(self, request: SyncRequest) -> SyncResult | None:
        self._decide_presence(request)
        return (
            None if self.is_any_due() else self._answer(request, done=not request.only_if_claimable)
        )

    def sync(self, request: SyncRequest) -> SyncResult:
        pod_command = self._decide_presence(request)
        if (
            request.only_if_claimable
            and request.claim
            and not request.is_retry
            and not self.is_any_due()
        ):
            return self._answer(request, done=False)
        if pod_command:
            self.write_pods(pod_command)
        claimed = self._held_or_claimed(request) if request.claim else ()
        refused = self.acknowledge(request.outcomes, request.pod_id) if request.outcomes else ()
        more = len(claimed) < request.claim and self.is_any_due()
        return self._answer(request, claimed, refused, more=more)

    def claim(self, request: SyncRequest) -> list[Step]:
        found = steps.steps_to_claim(self.claimable(request.claim), request.free)
        changes = _Changes(self, request.pod_id, [])
        changes.add_known(found)
        for step in found:
            changes.apply(Claim(step.step_id, request.claim_token, request.incarnation))
        changes.write()
        return [changes.steps[step.step_id] for step in found]

    def acknowledge(self, outcomes: Sequence[Outcome], by: str) -> list[str]:
        changes = _Changes(self, by, [outcome.step_id for outcome in outcomes])
        late: list[str] = []
        for outcome in outcomes:
            try:
                changes.apply(outcome)
            except (StaleClaim, IllegalTransition, UnknownStep):
                late.append(outcome.step_id)
        changes.write()
        return late

    def lost(self, claims: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        current = self.steps([step_id for step_id, _ in claims])
        return tuple(
            step_id
            for step_id, token in claims
            if (step := current.get(step_id)) is None
            or step.status != "claimed"
            or step.claim_token != token
        )

    def change(self, commands: Sequence[Cancel] | Sequence[Replay], by: str | None) -> list[Step]:
        changes = _Changes(self, by, [command.step_id for command in commands])
        for command in commands:
            changes.apply(command)
        changes.write()
        return [changes.steps[command.step_id] for command in commands]

    def recover(self, orphans: Sequence[Recover], by: str | None) -> list[Step]:
        pods_by_id = {pod.pod_id: pod for pod in self.pods()}
        changes = _Changes(self, by, [orphan.step_id for orphan in orphans])
        recovered: list[Step] = []
        for orphan in orphans:
            step = changes.steps.get(orphan.step_id)
            if step is None or not is_orphan(step, pods_by_id):
                continue
            try:
                changes.apply(orphan)
            except StaleClaim:
                continue  # another leader recovered it, and it is an orphan of a later claim
            recovered.append(changes.steps[orphan.step_id])
        changes.write()
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

    def _decide_presence(self, request: SyncRequest) -> list[PodChange]:
        """What the turn's presence changes. Raises ``IncarnationEnded`` if the pod may not claim
        after that."""
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

    def _held_or_claimed(self, request: SyncRequest) -> Sequence[Step]:
        """What the same turn has claimed, if this is its repetition and it was done; else what it
        claims now."""
        if request.is_retry:
            held = self.claimed_under(request.pod_id, request.incarnation, request.claim_token)
            if held:
                return held
        return self.claim(request)

    def _answer(
        self,
        request: SyncRequest,
        claimed: Sequence[Step] = (),
        refused: Sequence[str] = (),
        *,
        done: bool = True,
        more: bool = False,
    ) -> SyncResult:
        lost = self.lost(request.check_held) if request.check_held else ()
        if not request.claim:
            return SyncResult(self.at, tuple(claimed), tuple(refused), lost)
        return SyncResult(
            at=self.at,
            claimed=tuple(claimed),
            refused=tuple(refused),
            lost=lost,
            next_due=self.next_due(),
            any_claimed=self.is_any_claimed(),
            done=done,
            more=more,
        )


class _Changes:
    """Steps of one transaction on their way from their old state to the new."""

    def __init__(self, tx: Transaction, by: str | None, step_ids: Sequence[str]) -> None:
        self.steps = tx.steps(step_ids) if step_ids else {}
        self._tx = tx
        self._by = by
        self._written: list[tuple[StepEvent, Step]] = []

    def add_known(self, known: Iterable[Step]) -> None:
        """Steps that the transaction has read already."""
        self.steps.update((step.step_id, step) for step in known)

    def apply(self, command: StepCommand) -> bool:
        """Carry out the command; whether it led to an event. Raises what ``decide`` raises."""
        step = self.steps.get(command.step_id)
        event = steps.decide(step, command, self._tx.at, self._by)
        if event is None:
            return False
        evolved = steps.evolve(step, event)
        self.steps[command.step_id] = evolved
        self._written.append((event, evolved))
        return True

    def write(self) -> None:
        """Write the events and the steps' new state."""
        if self._written:
            self._tx.write_steps(self._written)
