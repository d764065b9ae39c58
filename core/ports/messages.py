"""What is said between a pod and its store: requests, results, pages, reports."""

from __future__ import annotations

import msgspec

from fleet_q.core.pod import Pod, PodCommand
from fleet_q.core.step import Outcome, Step


class SyncRequest(msgspec.Struct, frozen=True):
    """All that a pod wants of the store at one moment, done in one transaction.

    Its presence first, then a claim of up to ``claim`` steps under ``claim_token``, then the
    outcomes that it acknowledges: what it gives back is there for the next claim. The last
    ``prefetch`` steps of the claim would not begin at once, so fewer may be claimed, unless the
    pod ``records_starts``: see :func:`~fleet_q.core.step.steps_to_claim`. With ``check_held`` the
    store says which of these claims no longer stand. ``is_retry`` marks a turn whose answer was
    lost:
    it may have been done already, and is made up for, not done twice.
    ``only_if_claimable`` marks one that is only to be done if there is a step to claim, unless it
    is
    ``is_retry``.
    """

    pod_id: str
    incarnation: str
    pod_command: PodCommand | None = None
    outcomes: tuple[Outcome, ...] = ()
    claim: int = 0
    claim_token: str = ""
    prefetch: int = 0
    check_held: tuple[tuple[str, str], ...] = ()
    is_retry: bool = False
    only_if_claimable: bool = False
    records_starts: bool = False

    @property
    def free(self) -> int:
        """How many steps of the claim may be on their last try: those that begin at once, or all
        if it is known later which of them began."""
        return self.claim if self.records_starts else self.claim - self.prefetch


class SyncResult(msgspec.Struct, frozen=True):
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
    any_claimed: bool = False
    done: bool = True
    more: bool = False


class Orphan(msgspec.Struct, frozen=True):
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
    def has_tries_left(self) -> bool:
        """Whether it may be tried again whatever became of the claim."""
        return self.retry_count < self.max_retries


class PodList(msgspec.Struct, frozen=True):
    """All pods that ever joined, and the store's time at which that was so."""

    at: int
    pods: tuple[Pod, ...]


class StepPage(msgspec.Struct, frozen=True):
    """A page of dead letters, newest first; ``before`` asks for the page behind this one."""

    steps: tuple[Step, ...]
    before: tuple[int, str] | None


class FinalStep(msgspec.Struct, frozen=True, array_like=True):
    """A step that has ended, in the version that it was found in; so many are its events."""

    step_id: str
    version: int


class FinalStepPage(msgspec.Struct, frozen=True):
    """Some of the steps that have ended; ``after`` asks for the page behind this one."""

    steps: tuple[FinalStep, ...]
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
