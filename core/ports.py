"""The ports: what the core needs of a store, and what a database must do to become one.

:class:`Store` is all that pods and apps talk to. :class:`fleet_q.core.store.EventStore` is that
port written once over :class:`Database`, for whatever can hold a transaction and read rows; a
database for which round trips are dear may implement :class:`Store` itself, set by set.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.lifecycles import StepStatus
from fleet_q.core.pod import Pod, PodChange, Presence
from fleet_q.core.step import Outcome, Recover, Step, Submit


class Turn(msgspec.Struct, frozen=True):
    """All that a pod wants of the store at one moment, done in one transaction.

    Its presence first, then a claim of up to ``claim`` steps under ``claim_token``, then the
    outcomes that it acknowledges: what it gives back is there for the next claim. The last
    ``prefetch`` steps of the claim would not begin at once, so fewer may be claimed, unless the
    pod ``records_starts``: see :func:`~fleet_q.core.step.claimed_of`. With ``check_held`` the
    store says which of these claims no longer stand. ``again`` marks a turn whose answer was lost:
    it may have been done already, and is made up for, not done twice.
    ``if_due`` marks one that is only to be done if there is a step to claim, unless it is
    ``again``.
    """

    pod_id: str
    incarnation: str
    presence: Presence | None = None
    outcomes: tuple[Outcome, ...] = ()
    claim: int = 0
    claim_token: str = ""
    prefetch: int = 0
    check_held: tuple[tuple[str, str], ...] = ()
    again: bool = False
    if_due: bool = False
    records_starts: bool = False

    @property
    def free(self) -> int:
        """How many steps of the claim may be on their last try: those that begin at once, or all
        if it is known later which of them began."""
        return self.claim if self.records_starts else self.claim - self.prefetch


class Answer(msgspec.Struct, frozen=True):
    """What became of a turn. It was ``done`` unless it was only to be done if a step was due.

    ``claimed``: the steps that the pod now holds under the turn's token. ``refused``: the ids
    whose outcome came too late. ``lost``: the ids in ``check_held`` that are held no more.
    After a claim, ``more`` says whether it took fewer steps than it asked for and left others that
    are claimable, ``next_due`` is the time at which the first of the steps that wait for their
    time becomes claimable (``None`` if none is known to wait), and ``held`` says whether any step
    is claimed, by whomever.
    """

    at: int
    claimed: tuple[Step, ...] = ()
    refused: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    next_due: int | None = None
    held: bool = False
    done: bool = True
    more: bool = False


class Manners(msgspec.Struct, frozen=True):
    """What a pod should know of its store's nature.

    ``watch_interval``: seconds after which an idle pod may look at the bell again, where a look
    costs next to nothing; ``None``: it is looked at no more often than steps are claimed.
    ``dear``: every write costs money, so a pod with nothing to do falls asleep. ``prune_batch``:
    steps looked through, and pruned, in one transaction.
    """

    watch_interval: float | None = None
    dear: bool = False
    prune_batch: int = 200


class Fleet(msgspec.Struct, frozen=True):
    """All pods that ever joined, and the store's time at which that was so."""

    at: int
    pods: tuple[Pod, ...]


class LetterPage(msgspec.Struct, frozen=True):
    """A page of dead letters, newest first; ``before`` asks for the page behind this one."""

    steps: tuple[Step, ...]
    before: tuple[int, str] | None


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """A step that has ended, in the version that it was found in; so many are its events."""

    step_id: str
    version: int


class EndedPage(msgspec.Struct, frozen=True):
    """Some of the steps that have ended; ``after`` asks for the page behind this one."""

    steps: tuple[Ended, ...]
    after: str | None


class Pruned(msgspec.Struct, frozen=True):
    """How many steps or pods were deleted, and with how many events."""

    streams: int
    events: int


class RebuildReport(msgspec.Struct, frozen=True):
    """What ``rebuild`` found: how much it folded, and the ids whose rows differed from the log."""

    steps: int
    pods: int
    events: int
    differing_steps: tuple[str, ...]
    differing_pods: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether the tables were what the log adds up to."""
        return not self.differing_steps and not self.differing_pods


class DeadLetter(msgspec.Struct, frozen=True):
    """An orphan as the leader notes it down, with the claim that it was found under. ``size`` is
    about how many characters its step has, which are not read for it."""

    step_id: str
    claim_token: str
    claimed_by: str
    incarnation: str
    retry_count: int
    max_retries: int
    size: int

    @property
    def tries_left(self) -> bool:
        """Whether it may be tried again whatever became of the claim."""
        return self.retry_count < self.max_retries


class Store(Protocol):
    """Where steps and pods are kept. Every call is one transaction, done whole or not at all.
    Ids are as :func:`~fleet_q.core.submission.check_id` lets them pass.

    ``manners`` tells pods how to treat it.

    Any call may raise :class:`~fleet_q.core.errors.StoreUnavailable` (try again later: it may or
    may not have been done) or :class:`~fleet_q.core.errors.StoreError` (do not).
    """

    @property
    def manners(self) -> Manners:
        """How pods should treat it."""

    @property
    def starts(self) -> StartRecords | None:
        """Where pods record which steps began, if there is such a place."""

    def submit(self, steps: Sequence[Submit], pod_id: str | None = None) -> list[bool]:
        """Store new steps; for each, whether it was new. Raises ``StepConflict``, storing none,
        and ``StoreError`` if an id that was promised to be unique is taken."""

    def turn(self, turn: Turn) -> Answer:
        """Do a pod's turn. Raises ``IncarnationEnded`` if the pod may not go on as it is."""

    def bell(self) -> int:
        """A number that is another one after every change of a step by anybody else. Looking at
        it is the cheapest thing that a store can be asked."""

    def declare_dead(self, silent: Sequence[Pod], by: str | None = None) -> list[Pod]:
        """End these incarnations, which were observed to be silent, but for those whose row has
        changed since; return those that have ended now."""

    def orphans(self, after: str, limit: int) -> list[DeadLetter]:
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

    def pods(self) -> Fleet:
        """All pods, ordered by id."""

    def dead_letters(self, limit: int, before: tuple[int, str] | None = None) -> LetterPage:
        """A page of the steps that failed for good."""

    def step_events(self) -> Iterator[StepEvent]:
        """The whole step log, by id and version, as one consistent picture."""

    def ended(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str = ""
    ) -> EndedPage:
        """Up to ``limit`` steps for which :func:`~fleet_q.core.pruning.is_prunable` holds, in an
        order of the store's own. ``after`` is the ``after`` of the page in front. A page may be
        empty and not the last."""

    def prune(self, ended: Sequence[Ended], before: int, by: str | None = None) -> Pruned:
        """Delete those of the steps that have not changed since they were found under ``before``,
        each with all its events. Their ids are free from then on: what is submitted again under
        one of them is a new step, and runs again."""

    def prune_pod(self, pod: Pod) -> Pruned:
        """Delete a pod with all its events, if it has not changed."""

    def histories(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
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


class Transaction(Protocol):
    """One open transaction of a database: reads see it, writes belong to it."""

    at: int
    """The store's clock, read once when the transaction began."""

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

    def orphans(self, after: str, limit: int) -> list[DeadLetter]:
        """Steps for which :func:`~fleet_q.core.recovery.is_orphan` holds, by id after ``after``."""

    def dead_letters(self, limit: int, before: tuple[int, str] | None) -> list[Step]:
        """Failed steps by ``(last_update_ts, step_id)``, greatest first, below ``before``."""

    def counts(self) -> dict[StepStatus, int]:
        """The number of steps in every status, zeros too."""

    def pods(self) -> list[Pod]:
        """All pods by id."""

    def pod(self, pod_id: str) -> Pod | None:
        """One pod."""

    def history(self, step_id: str) -> list[StepEvent]:
        """One step's events by version."""

    def step_events(self) -> Iterator[StepEvent]:
        """All step events, by id and version, without holding them all in memory."""

    def pod_events(self) -> Iterator[PodEvent]:
        """All pod events, by id and version."""

    def all_steps(self) -> Iterator[Step]:
        """All steps by id, without holding them all in memory."""

    def write_steps(self, changes: Sequence[tuple[StepEvent, Step]]) -> None:
        """Append the events and keep each step as it is after its event. Version 1 is new."""

    def write_pods(self, changes: Sequence[PodChange]) -> None:
        """The same for pods. One without an event was heard of, and nothing else happened."""

    def ended(
        self, statuses: Collection[StepStatus], before: int, limit: int, after: str
    ) -> EndedPage:
        """See :meth:`Store.ended`."""

    def histories(self, step_ids: Sequence[str]) -> Iterator[StepEvent]:
        """The events of these steps by id and version, without holding them all in memory."""

    def pod_history(self, pod_id: str) -> Iterator[PodEvent]:
        """One pod's events by version, likewise."""

    def prune_steps(self, ended: Sequence[Ended], before: int) -> Pruned:
        """Delete those of the steps that are in this version still, and were not changed after
        ``before``, with their events."""

    def prune_pod(self, pod: Pod) -> Pruned:
        """Delete the pod with its events, if it is in this version still."""

    def replace_steps(self, step_ids: Sequence[str], steps: Iterable[Step]) -> None:
        """Make the step table hold, of these ids, just these steps, which are what their log adds
        up to."""

    def replace_pods(self, pod_ids: Sequence[str], pods: Iterable[Pod]) -> None:
        """The same for pods."""


class Database(Protocol):
    """What can begin transactions: commit on a clean exit, roll back on an exception."""

    @property
    def manners(self) -> Manners:
        """See :attr:`Store.manners`."""

    def bell(self) -> int:
        """See :meth:`Store.bell`."""

    def write(self) -> AbstractContextManager[Transaction]:
        """A transaction alone with its writes: what it read cannot change until it ends."""

    def read(self) -> AbstractContextManager[Transaction]:
        """A consistent picture, without keeping writers out."""

    def snapshot(self) -> AbstractContextManager[Transaction]:
        """A consistent picture that may be looked at for long, while all else goes on."""

    def close(self) -> None:
        """Close it."""


class DeadLetterTable(Protocol):
    """The leader's own ephemeral table of orphans; it lives for one recovery cycle."""

    def create(self) -> None:
        """Begin with an empty table."""

    def add(self, orphans: Sequence[DeadLetter]) -> None:
        """Note orphans down."""

    def take(self, limit: int) -> list[DeadLetter]:
        """Remove and return up to ``limit`` of them; empty when none are left."""

    def drop(self) -> None:
        """Remove the table."""


class StartRecord(Protocol):
    """Where one pod records which functions have begun, so that this is known after its death. Any
    thread may call it."""

    is_kept: bool
    """Whether what did not begin will be told from what did; after trouble with the record, or
    with the place where it is kept, that is unknown."""

    def add(self, step_id: str, claim_token: str) -> None:
        """A function begins under this claim when this returns. Raises
        :class:`~fleet_q.core.errors.StartNotRecorded` if it must not."""

    def tidy(self, held: Iterable[Step]) -> None:
        """Forget all claims but those of the steps ``held``, from time to time."""

    def begin(self, incarnation: str) -> None:
        """Record what this incarnation claims from now on; of the one before nothing is known."""

    def close(self, *, is_needed: bool) -> None:
        """Nothing begins any more. The record is removed unless it ``is_needed``, because the store
        believes that the pod holds steps."""


class StartRecords(Protocol):
    """The records of all pods on a store."""

    def open(self, incarnation: str) -> StartRecord | None:
        """A new record; ``None`` if none can be kept."""

    def never_began(self, letters: Sequence[DeadLetter]) -> set[str]:
        """The ids of those that certainly did not begin under their claim and never will: the
        process that held it has ended and kept a whole record, in which the claim is not."""

    def left_behind(self) -> list[str]:
        """The incarnations whose process has ended and left a record."""

    def remove(self, incarnations: Collection[str]) -> None:
        """Remove the records that these left behind."""
