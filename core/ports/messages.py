"""The requests that pods send to a store, and the results, pages and reports that it returns."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet_q.core.pod import Pod, PodCommand
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.step import Outcome, Step, Submit


class SubmitResult(msgspec.Struct, frozen=True):
    """What became of a submission: the step ``step_id`` stands for it. It is new unless there was
    a step with its id or its unique key."""

    step_id: str
    is_new: bool


class SyncRequest(msgspec.Struct, frozen=True):
    """Everything that a pod wants of the store at one moment, executed in one transaction.

    - ``pod_command`` is applied first.
    - ``claim``: then up to this many steps are claimed under ``claim_token``. The last ``prefetch``
      of them would wait before they begin.
    - ``progress``: what functions reported, triples of step id, claim token and JSON text. It is
      recorded where the claim is current; on Snowflake by the leader's next recovery cycle.
    - ``outcomes`` are applied last, so a step that is released here is not claimed here again.
    - ``check_held``: claims, pairs of step id and claim token, that the store checks.
    - ``is_retry``: the result of an earlier, equal request was lost. It may have been executed, and
      is not executed twice.
    - ``only_if_claimable``: do nothing unless a step is due; ignored for a retry.
    - ``records_starts``: the pod records which functions began.
    - ``routes``: only steps that these serve are claimed, or looked for.
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
    routes: Routes = EVERYWHERE
    progress: tuple[tuple[str, str, str], ...] = ()

    @property
    def slots(self) -> int:
        """How many steps of the claim begin at once."""
        return self.claim - self.prefetch

    @property
    def free(self) -> int:
        """How many steps of the claim may be on their last try, see
        :func:`~fleet_q.core.step.steps_to_claim`: those that begin at once, or all of them if the
        pod records which ones began."""
        return self.claim if self.records_starts else self.slots

    @property
    def ends(self) -> frozenset[tuple[str, str]]:
        """The claims that its outcomes end, pairs of step id and claim token. They take no room in
        their queues any more from the claims of this request, which are committed with them."""
        return frozenset((outcome.step_id, outcome.claim_token) for outcome in self.outcomes)


class SyncResult(msgspec.Struct, frozen=True):
    """The result of a :class:`SyncRequest`; ``at`` is the time by the store's clock.

    - ``claimed``: the steps that the pod now holds under the request's claim token.
    - ``refused``: the ids of outcomes that were rejected, because their claim is not current.
    - ``lost``: the step ids in ``check_held`` whose claims are not current.
    - ``unexpected``, after a heartbeat: other claims of the incarnation, pairs of step id and claim
      token. There are none unless the store may carry out a call after its repetition: the late one
      claims again if the steps of the other have ended.
    - ``next_due``, after a claim: when the next pending step that the pod may take is due, or a
      queue lets the next step be claimed by its rate; ``None``: none is known.
    - ``any_claimed``, after a claim: whether any pod holds a step.
    - ``done``: false if the request was ``only_if_claimable`` and no step was due.
    - ``more``, after a claim: it took fewer steps than it asked for, and it may claim more.
    - ``next_firing``, after a claim that took no step: when the next schedule is to be looked at,
      which may have been before; ``None``: there is none.
    - ``held_back``, after a claim: it took fewer steps than it asked for, and only the limits of
      queues hold back others that are due.
    - ``ready``, without a claim: the outcomes may have made steps pending that waited for others,
      or stored children.
    - ``served_others``: how many requests of other pods the call served together with this one;
      ``None`` if it did not serve.
    """

    at: int
    claimed: tuple[Step, ...] = ()
    refused: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unexpected: tuple[tuple[str, str], ...] = ()
    next_due: int | None = None
    any_claimed: bool = False
    done: bool = True
    more: bool = False
    held_back: bool = False
    served_others: int | None = None
    next_firing: int | None = None
    ready: bool = False


class CheckedReplacement(msgspec.Struct, frozen=True):
    """A step to replace by a submission, if it is pending and has this version."""

    step_id: str
    version: int
    by: Submit


class CheckedSubmission(msgspec.Struct, frozen=True):
    """Steps to store and to replace, all or none: none if a step has an id or a unique key of those
    to store, or one to replace has changed, which only a transaction that keeps out all other such
    submissions can tell. ``by``: see :class:`Store`."""

    submission_id: str
    steps: tuple[Submit, ...]
    by: str | None = None
    replacements: tuple[CheckedReplacement, ...] = ()

    @property
    def ids(self) -> list[str]:
        """The ids of the steps to store and to replace."""
        return [*(s.step_id for s in self.steps), *(r.step_id for r in self.replacements)]

    @property
    def unique_keys(self) -> list[str]:
        """The unique keys of the steps to store."""
        return [new.unique_key for new in self.steps if new.unique_key is not None]


class SubmissionResult(msgspec.Struct, frozen=True):
    """The result of a :class:`CheckedSubmission`. If its steps were not stored, ``existing`` are
    those that have their ids or unique keys. If there are none, another submission that was served
    together with it has one of them; it may be tried again."""

    is_stored: bool
    existing: tuple[Step, ...] = ()


class Orphan(msgspec.Struct, frozen=True):
    """An orphaned step as the leader records it, with the claim that it was found under. ``size``
    is about how many bytes the step has; its texts are not read."""

    step_id: str
    claim_token: str
    claimed_by: str
    incarnation: str
    retry_count: int
    max_retries: int
    size: int

    @property
    def has_tries_left(self) -> bool:
        """Whether the step may be retried even if its function began."""
        return self.retry_count < self.max_retries


class PodList(msgspec.Struct, frozen=True):
    """All pods, and the time ``at`` by the store's clock at which they were read. ``next_firing``
    is when the next schedule is to be looked at; ``None``: there is none."""

    at: int
    pods: tuple[Pod, ...]
    next_firing: int | None = None


class Backlog(msgspec.Struct, frozen=True):
    """How many steps are not final, counted at ``at`` by the store's clock.

    - ``pending``: the steps that wait, of which ``claimable`` are due and may be claimed within the
      limits of their queues. A row of the inbox counts as one that is due now.
    - ``claimed``: the steps that pods hold.
    - ``oldest``: when the claimable step that has waited longest was submitted or became due,
      whichever is later; ``None``: no step is claimable.
    - ``next_due``: when the next of the other pending steps becomes due, or the rate of its queue
      allows one more claim; ``None``: there is none. Steps of paused queues do not count.
    """

    at: int
    pending: int
    claimable: int
    claimed: int
    oldest: int | None
    next_due: int | None


class StepPage(msgspec.Struct, frozen=True):
    """A page of dead letters, newest first; ``before`` is the cursor of the next page."""

    steps: tuple[Step, ...]
    before: tuple[int, str] | None

    @classmethod
    def of(cls, steps: Sequence[Step], limit: int) -> StepPage:
        """The page with the steps that a query for up to ``limit`` returned. If there are fewer, it
        is the last."""
        last = steps[-1] if steps and len(steps) == limit else None
        return cls(tuple(steps), (last.last_update_ts, last.step_id) if last else None)


class FinalStep(msgspec.Struct, frozen=True, array_like=True):
    """A step in a final status. Its ``version`` is also the number of its events."""

    step_id: str
    version: int


class FinalStepPage(msgspec.Struct, frozen=True):
    """A page of final steps; ``after`` is the cursor of the next page, ``None`` on the last."""

    steps: tuple[FinalStep, ...]
    after: str | None


class Pruned(msgspec.Struct, frozen=True):
    """The number of deleted steps or pods (``streams``) and of their deleted events."""

    streams: int
    events: int


class RebuildReport(msgspec.Struct, frozen=True):
    """The result of ``rebuild``: how much was folded, the ids of the rows that differed, and for
    these the ``reasons`` in sentences. ``inconsistent`` says the same of steps, pods and queues
    whose events contradict each other; their rows are neither compared nor changed.
    ``differing_waits`` are waiting steps with other dependencies than their parents give them."""

    steps: int
    pods: int
    events: int
    differing_steps: tuple[str, ...]
    differing_pods: tuple[str, ...]
    differing_queues: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    inconsistent: tuple[str, ...] = ()
    differing_waits: tuple[str, ...] = ()
    differing_schedules: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether the tables equalled the folded log, and that is consistent."""
        return not (self.differing or self.inconsistent)

    @property
    def differing(self) -> tuple[str, ...]:
        """The ids of all rows that differed."""
        return (
            *self.differing_steps,
            *self.differing_pods,
            *self.differing_queues,
            *self.differing_waits,
            *self.differing_schedules,
        )
