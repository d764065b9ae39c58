"""The store port written once, over any database that can hold a transaction.

Every change goes the same way: read the state, ``decide``, ``evolve``, write both the event and
the new state in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.errors import IllegalTransition, StaleClaim, UnknownStep
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.lifecycles import StepStatus
from fleet_q.core.pod import DeclareDead, Pod, PodChange
from fleet_q.core.ports import (
    Answer,
    Database,
    DeadLetter,
    Ended,
    EndedPage,
    Fleet,
    LetterPage,
    Manners,
    Pruned,
    RebuildReport,
    StartRecords,
    Transaction,
    Turn,
)
from fleet_q.core.rebuild import rebuild
from fleet_q.core.recovery import is_orphan
from fleet_q.core.step import Cancel, Claim, Recover, Replay, Step, StepCommand, Submit

C = TypeVar("C", bound=StepCommand)


class EventStore:
    """A :class:`~fleet_q.core.ports.Store` over a :class:`~fleet_q.core.ports.Database`."""

    starts: StartRecords | None = None
    """See :class:`fleet_q.core.ports.Store`; so for everything here."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def manners(self) -> Manners:
        return self._database.manners

    def bell(self) -> int:
        return self._database.bell()

    def submit(self, new: Sequence[Submit], pod_id: str | None = None) -> list[bool]:
        with self._database.write() as tx:
            return self._submit(tx, new, pod_id)

    def turn(self, turn: Turn) -> Answer:
        is_new_claim = turn.claim and not turn.again
        if is_new_claim and (turn.if_due or not (turn.presence or turn.outcomes)):
            with self._database.read() as tx:
                _presence(tx, turn)
                if not tx.is_any_due():  # no reason to keep writers waiting
                    return _answer(tx, turn, done=not turn.if_due)
        with self._database.write() as tx:
            presence = _presence(tx, turn)
            if is_new_claim and turn.if_due and not tx.is_any_due():
                return _answer(tx, turn, done=False)
            if presence:
                tx.write_pods(presence)
            claimed = self._held_or_claimed(tx, turn) if turn.claim else ()
            refused = tuple(self._acknowledge(tx, turn)) if turn.outcomes else ()
            return _answer(tx, turn, claimed, refused)

    def declare_dead(self, silent: Sequence[Pod], by: str | None = None) -> list[Pod]:
        with self._database.write() as tx:
            changes: list[PodChange] = []
            for seen in silent:
                command = DeclareDead(
                    seen.pod_id, seen.incarnation, seen.version, seen.last_heartbeat_ts
                )
                change = pods.change(tx.pod(seen.pod_id), command, tx.at, by)
                if change is not None:
                    changes.append(change)
            tx.write_pods(changes)
            return [pod for _, pod in changes]

    def orphans(self, after: str, limit: int) -> list[DeadLetter]:
        with self._database.read() as tx:
            return tx.orphans(after, limit)

    def recover(self, orphans: Sequence[Recover], by: str | None = None) -> list[Step]:
        with self._database.write() as tx:
            fleet = {pod.pod_id: pod for pod in tx.pods()}
            changed = _Changes(tx, by, [orphan.step_id for orphan in orphans])
            recovered: list[Step] = []
            for orphan in orphans:
                step = changed.steps.get(orphan.step_id)
                if step is None or not is_orphan(step, fleet):
                    continue
                try:
                    changed.apply(orphan)
                except StaleClaim:
                    continue  # another leader was here, and the step has been orphaned anew
                recovered.append(changed.steps[orphan.step_id])
            changed.write()
            return recovered

    def cancel(self, step_id: str, pod_id: str | None = None) -> Step:
        return self._change([Cancel(step_id)], pod_id)[0]

    def replay(self, step_ids: Sequence[str], pod_id: str | None = None) -> list[Step]:
        return self._change([Replay(step_id) for step_id in step_ids], pod_id)

    def step(self, step_id: str) -> Step | None:
        with self._database.read() as tx:
            return tx.steps([step_id]).get(step_id)

    def history(self, step_id: str) -> list[StepEvent]:
        with self._database.read() as tx:
            return tx.history(step_id)

    def counts(self) -> dict[StepStatus, int]:
        with self._database.read() as tx:
            return tx.counts()

    def pods(self) -> Fleet:
        with self._database.read() as tx:
            return Fleet(tx.at, tuple(tx.pods()))

    def dead_letters(self, limit: int, before: tuple[int, str] | None = None) -> LetterPage:
        with self._database.read() as tx:
            page = tx.dead_letters(limit, before)
        last = page[-1] if len(page) == limit and page else None
        return LetterPage(tuple(page), (last.last_update_ts, last.step_id) if last else None)

    def step_events(self) -> Iterator[StepEvent]:
        with self._database.snapshot() as tx:
            yield from tx.step_events()

    def ended(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str = ""
    ) -> EndedPage:
        with self._database.read() as tx:
            return tx.ended(statuses, before, limit, after)

    def prune(self, ended: Sequence[Ended], before: int, by: str | None = None) -> Pruned:
        with self._database.write() as tx:
            return tx.prune_steps(ended, before)

    def prune_pod(self, pod: Pod) -> Pruned:
        with self._database.write() as tx:
            return tx.prune_pod(pod)

    def histories(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        with self._database.snapshot() as tx:
            yield from tx.histories(step_ids)

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        with self._database.snapshot() as tx:
            yield from tx.pod_history(pod_id)

    def rebuild(
        self, *, check: bool = False, progress: Callable[[int], None] | None = None
    ) -> RebuildReport:
        return rebuild(self._database, check=check, progress=progress)

    def close(self) -> None:
        self._database.close()

    # What a database may do for all steps at once; here, one by one, is what that must come to.

    def _submit(self, tx: Transaction, new: Sequence[Submit], pod_id: str | None) -> list[bool]:
        changed = _Changes(tx, pod_id, [s.step_id for s in new if not s.unique])
        fresh = [changed.apply(submit) for submit in new]
        changed.write()
        return fresh

    def _claim(self, tx: Transaction, turn: Turn) -> list[Step]:
        found = steps.claimed_of(tx.claimable(turn.claim), turn.free)
        changed = _Changes(tx, turn.pod_id, [])
        changed.take_in(found)
        for step in found:
            changed.apply(Claim(step.step_id, turn.claim_token, turn.incarnation))
        changed.write()
        return [changed.steps[step.step_id] for step in found]

    def _acknowledge(self, tx: Transaction, turn: Turn) -> list[str]:
        """The ids whose outcome came too late."""
        changed = _Changes(tx, turn.pod_id, [outcome.step_id for outcome in turn.outcomes])
        refused: list[str] = []
        for outcome in turn.outcomes:
            try:
                changed.apply(outcome)
            except (StaleClaim, IllegalTransition, UnknownStep):
                refused.append(outcome.step_id)
        changed.write()
        return refused

    def _held_or_claimed(self, tx: Transaction, turn: Turn) -> tuple[Step, ...]:
        """What is claimed now, or was by the same turn, if that is sent again."""
        if turn.again:
            held = tx.claimed_under(turn.pod_id, turn.incarnation, turn.claim_token)
            if held:
                return tuple(held)
        return tuple(self._claim(tx, turn))

    def _change(self, commands: Sequence[Cancel | Replay], pod_id: str | None) -> list[Step]:
        with self._database.write() as tx:
            changed = _Changes(tx, pod_id, [command.step_id for command in commands])
            for command in commands:
                changed.apply(command)
            changed.write()
            return [changed.steps[command.step_id] for command in commands]


class _Changes:
    """Steps of one transaction on their way from their old state to the new."""

    def __init__(self, tx: Transaction, pod_id: str | None, step_ids: Sequence[str]) -> None:
        self.steps = tx.steps(step_ids) if step_ids else {}
        self._tx = tx
        self._pod_id = pod_id
        self._written: list[tuple[StepEvent, Step]] = []

    def take_in(self, known: Iterable[Step]) -> None:
        self.steps.update((step.step_id, step) for step in known)

    def apply(self, command: StepCommand) -> bool:
        """Do the command; whether it led to an event. Raises what ``decide`` raises."""
        step = self.steps.get(command.step_id)
        event = steps.decide(step, command, self._tx.at, self._pod_id)
        if event is None:
            return False
        evolved = steps.evolve(step, event)
        self.steps[command.step_id] = evolved
        self._written.append((event, evolved))
        return True

    def write(self) -> None:
        if self._written:
            self._tx.write_steps(self._written)


def _presence(tx: Transaction, turn: Turn) -> list[PodChange]:
    """What the turn's presence changes; only who lives after that may claim."""
    if turn.presence is None and not turn.claim:
        return []
    changes: list[PodChange] = []
    pod = tx.pod(turn.pod_id)
    if turn.presence is not None:
        change = pods.change(pod, turn.presence, tx.at, turn.pod_id)
        if change is not None:
            _, pod = change
            changes.append(change)
    if turn.claim:
        pods.check_may_claim(pod, turn.pod_id, turn.incarnation)
    return changes


def _answer(
    tx: Transaction,
    turn: Turn,
    claimed: tuple[Step, ...] = (),
    refused: tuple[str, ...] = (),
    *,
    done: bool = True,
) -> Answer:
    lost = _lost(tx, turn) if turn.check_held else ()
    if not turn.claim:
        return Answer(tx.at, claimed, refused, lost)
    more = len(claimed) < turn.claim and tx.is_any_due()
    return Answer(tx.at, claimed, refused, lost, tx.next_due(), tx.is_any_claimed(), done, more)


def _lost(tx: Transaction, turn: Turn) -> tuple[str, ...]:
    current = tx.steps([step_id for step_id, _ in turn.check_held])
    lost: list[str] = []
    for step_id, token in turn.check_held:
        step = current.get(step_id)
        if step is None or step.status != "claimed" or step.claim_token != token:
            lost.append(step_id)
    return tuple(lost)
