"""The port that pods and apps talk to, and what they should know of the store behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Protocol

import msgspec

from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.pod import Pod
from fleet_q.core.ports.messages import (
    FinalStep,
    FinalStepPage,
    Orphan,
    PodList,
    Pruned,
    RebuildReport,
    StepPage,
    SyncRequest,
    SyncResult,
)
from fleet_q.core.ports.starts import StartRecords
from fleet_q.core.step import Recover, Step, Submit


class StoreTraits(msgspec.Struct, frozen=True):
    """What a pod should know of its store's nature.

    ``poll_interval``: seconds after which an idle pod may look at the bell again, where a look
    costs next to nothing; ``None``: it is looked at no more often than steps are claimed.
    ``writes_are_billed``: every write costs money, so a pod with nothing to do falls asleep.
    ``prune_batch``:
    steps looked through, and pruned, in one transaction. ``most_waiters``: statements that may
    wait for one lock, beyond which the store rejects one with ``StoreContended``; ``None``: any
    number. ``shortest_sync``: seconds that a sync takes at least, about.
    """

    poll_interval: float | None = None
    writes_are_billed: bool = False
    prune_batch: int = 200
    most_waiters: int | None = None
    shortest_sync: float = 0.05


class Store(Protocol):
    """Where steps and pods are kept. Every call is one transaction, done whole or not at all.
    Ids are as :func:`~fleet_q.core.submission.check_id` lets them pass.

    ``manners`` tells pods how to treat it.

    Any call may raise :class:`~fleet_q.core.errors.StoreUnavailable` (try again later: it may or
    may not have been done) or :class:`~fleet_q.core.errors.StoreError` (do not).
    """

    @property
    def traits(self) -> StoreTraits:
        """How pods should treat it."""

    @property
    def starts(self) -> StartRecords | None:
        """Where pods record which steps began, if there is such a place."""

    def submit(self, steps: Sequence[Submit], pod_id: str | None = None) -> list[bool]:
        """Store new steps; for each, whether it was new. Raises ``StepConflict``, storing none,
        and ``StoreError`` if an id that was promised to be unique is taken."""

    def sync(self, request: SyncRequest) -> SyncResult:
        """Do a pod's turn. Raises ``IncarnationEnded`` if the pod may not go on as it is."""

    def change_counter(self) -> int:
        """A number that is another one after every change of a step by anybody else. Looking at
        it is the cheapest thing that a store can be asked."""

    def declare_dead(self, silent: Sequence[Pod], by: str | None = None) -> list[Pod]:
        """End these incarnations, which were observed to be silent, but for those whose row has
        changed since; return those that have ended now."""

    def orphans(self, after: str, limit: int) -> list[Orphan]:
        """Orphaned steps with an id greater than ``after``, by id."""

    def recover(self, orphans: Sequence[Recover], by: str | None = None) -> list[Step]:
        """Give orphans back, or fail them; return those that still were orphans, as they are."""

    def cancel(self, step_id: str, pod_id: str | None = None) -> Step:
        """Cancel a step. Raises ``UnknownStep`` or ``IllegalTransition``."""

    def replay(self, step_ids: Sequence[str], pod_id: str | None = None) -> list[Step]:
        """Give failed or cancelled steps all their tries again: all of them, or none with an
        ``UnknownStep`` or ``IllegalTransition``."""

    def step(self, step_id: str) -> Step | None:
        """A step as it is now."""

    def history(self, step_id: str) -> list[StepEvent]:
        """All that happened to a step, in order; empty if there is no such step."""

    def counts(self) -> dict[StepStatus, int]:
        """How many steps there are in each status."""

    def pods(self) -> PodList:
        """All pods, ordered by id."""

    def dead_letters(self, limit: int, before: tuple[int, str] | None = None) -> StepPage:
        """A page of the steps that failed for good."""

    def step_events(self) -> Iterator[StepEvent]:
        """The whole step log, by id and version, as one consistent picture."""

    def final_steps(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str = ""
    ) -> FinalStepPage:
        """Up to ``limit`` steps for which :func:`~fleet_q.core.pruning.is_prunable` holds, in an
        order of the store's own. ``after`` is the ``after`` of the page in front. A page may be
        empty and not the last."""

    def prune(self, steps: Sequence[FinalStep], before: int, by: str | None = None) -> Pruned:
        """Delete those of the steps that have not changed since they were found under ``before``,
        each with all its events. Their ids are free from then on: what is submitted again under
        one of them is a new step, and runs again."""

    def prune_pod(self, pod: Pod) -> Pruned:
        """Delete a pod with all its events, if it has not changed."""

    def events_of_steps(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        """All that happened to these steps, by id and version, as one consistent picture."""

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        """All that happened to a pod, in order."""

    def rebuild(
        self, *, check: bool = False, progress: Callable[[int], None] | None = None
    ) -> RebuildReport:
        """Compare both tables with the log, and unless ``check`` correct the rows that differ.

        The comparison keeps nobody waiting, and each batch of rows is corrected in a short
        transaction of its own; a rebuild that ends in the middle can be run again. ``progress`` is
        told how many step events have been folded, every now and then.
        """

    def close(self) -> None:
        """Let go of whatever the store holds open; the store cannot be used afterwards."""
