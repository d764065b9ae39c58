"""The ports that a database implements to become a store: transactions, and what begins them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.pod import Pod, PodChange
from fleet_q.core.ports.messages import (
    FinalStep,
    FinalStepPage,
    Orphan,
    Pruned,
    SyncRequest,
    SyncResult,
)
from fleet_q.core.ports.store import StoreTraits
from fleet_q.core.step import Cancel, Outcome, Recover, Replay, Step, Submit


class Transaction(Protocol):
    """An open transaction of a database: reads see its writes, and all of them are committed
    together or none."""

    at: int
    """The store's clock, read once when the transaction began."""

    # Reads

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        """The steps that exist among these ids."""

    def claimable(self, limit: int) -> list[Step]:
        """Pending steps that are due, in :func:`~fleet_q.core.step.claim_order`; see
        :func:`~fleet_q.core.step.is_due`."""

    def next_due(self) -> int | None:
        """The earliest ``available_ts`` among pending steps whose time has not come. A hint: a
        step whose time had come when the clock was set back may be missed."""

    def is_any_due(self) -> bool:
        """Whether :meth:`claimable` would find a step."""

    def is_any_claimed(self) -> bool:
        """Whether there is a claimed step."""

    def claimed_under(self, pod_id: str, incarnation: str, claim_token: str) -> list[Step]:
        """The steps that are claimed under this token."""

    def orphans(self, after: str, limit: int) -> list[Orphan]:
        """Steps for which :func:`~fleet_q.core.recovery.is_orphan` holds, by id after ``after``."""

    def dead_letters(self, limit: int, before: tuple[int, str] | None) -> list[Step]:
        """Failed steps by ``(last_update_ts, step_id)``, greatest first, below ``before``."""

    def final_steps(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str
    ) -> FinalStepPage:
        """See :meth:`Store.final_steps`."""

    def counts(self) -> dict[StepStatus, int]:
        """The number of steps in every status, zeros too."""

    def pods(self) -> list[Pod]:
        """All pods by id."""

    def pod(self, pod_id: str) -> Pod | None:
        """One pod."""

    def all_steps(self) -> Iterator[Step]:
        """All steps by id, without holding them all in memory."""

    def history(self, step_id: str) -> list[StepEvent]:
        """One step's events by version."""

    def events_of_steps(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        """The events of these steps by id and version, without holding them all in memory."""

    def step_events(self) -> Iterator[StepEvent]:
        """All step events, by id and version, without holding them all in memory."""

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        """One pod's events by version, without holding them all in memory."""

    def pod_events(self) -> Iterator[PodEvent]:
        """All pod events, by id and version."""

    # Writes

    def write_steps(self, changes: Sequence[tuple[StepEvent, Step]]) -> None:
        """Append the events and keep each step as it is after its event. Version 1 is new."""

    def write_pods(self, changes: Sequence[PodChange]) -> None:
        """The same for pods. One without an event was heard of, and nothing else happened."""

    def prune_steps(self, steps: Sequence[FinalStep], before: int) -> Pruned:
        """Delete those of the steps that are in this version still, and were not changed after
        ``before``, with their events."""

    def prune_pod(self, pod: Pod) -> Pruned:
        """Delete the pod with its events, if its row has not changed. A version alone does not
        tell: a pod that was pruned and joined anew counts from 1 again."""

    def replace_steps(self, step_ids: Sequence[str], steps: Iterable[Step]) -> None:
        """Make the step table hold, of these ids, just these steps, which are what their log adds
        up to."""

    def replace_pods(self, pod_ids: Sequence[str], pods: Iterable[Pod]) -> None:
        """The same for pods."""

    # Operations on many steps or pods. `StepByStep` implements each of them by the reads and writes
    # above; an override does the same with fewer statements.

    def submit_many(self, new: Sequence[Submit], by: str | None) -> list[bool]:
        """See :meth:`Store.submit`."""

    def peek(self, request: SyncRequest) -> SyncResult | None:
        """The answer to a turn that would claim if there were a step, and there is none; ``None``
        if there is one, so the turn has to be done. Writes nothing. Raises as :meth:`sync`."""

    def sync(self, request: SyncRequest) -> SyncResult:
        """Do a turn. Raises ``IncarnationEnded``."""

    def claim(self, request: SyncRequest) -> list[Step]:
        """Claim for a turn what :func:`~fleet_q.core.step.steps_to_claim` takes of what
        :meth:`claimable` returns; the steps as they are now, in claim order."""

    def acknowledge(self, outcomes: Sequence[Outcome], by: str) -> list[str]:
        """Apply the outcomes of steps that are held under the outcomes' tokens; the ids of the
        others."""

    def lost(self, claims: Sequence[tuple[str, str]]) -> tuple[str, ...]:
        """The ids of those claims, of a step id and a token each, that do not stand."""

    def change(self, commands: Sequence[Cancel] | Sequence[Replay], by: str | None) -> list[Step]:
        """Carry out all commands; the steps as they are now. Raises ``UnknownStep`` or
        ``IllegalTransition``."""

    def recover(self, orphans: Sequence[Recover], by: str | None) -> list[Step]:
        """See :meth:`Store.recover`."""

    def declare_dead(self, silent: Sequence[Pod], by: str | None) -> list[Pod]:
        """See :meth:`Store.declare_dead`."""


class Database(Protocol):
    """What can begin transactions: commit on a clean exit, roll back on an exception."""

    @property
    def traits(self) -> StoreTraits:
        """See :attr:`Store.manners`."""

    def change_counter(self) -> int:
        """See :meth:`Store.bell`."""

    def write(self) -> AbstractContextManager[Transaction]:
        """A transaction alone with its writes: what it read cannot change until it ends."""

    def read(self) -> AbstractContextManager[Transaction]:
        """A consistent picture, without keeping writers out."""

    def snapshot(self) -> AbstractContextManager[Transaction]:
        """A consistent picture that may be looked at for long, while all else goes on."""

    def close(self) -> None:
        """Close it."""
