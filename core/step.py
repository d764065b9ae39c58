"""Steps: their state, their commands, and the pure functions ``decide`` and ``evolve``.

``decide`` returns the event that a command causes, ``evolve`` the state after an event. The rows of
a store equal its event log folded with ``evolve``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, Protocol, TypeVar, get_args

import msgspec
from msgspec.structs import astuple

from fleet_q.core import events as ev
from fleet_q.core.claim_limits import ClaimLimits, InQueue
from fleet_q.core.effects import ColumnChanges, json_text, json_text_or_none
from fleet_q.core.errors import CorruptLog, IllegalTransition, StaleClaim, StepConflict, UnknownStep
from fleet_q.core.events import DEFAULT_QUEUE, Event, StepEvent, StepFact
from fleet_q.core.lifecycle import EFFECTS, STEP, StepStatus
from fleet_q.core.sizes import size_of
from fleet_q.core.stored_json import object_of, value_of

DIED: Final = "pod {} died while it held the step"
"""The error of an attempt whose pod died; a format string for the pod's id."""

EXPIRED: Final = "expired: it was not begun by the time that start_by set"
"""The error of a step that was cancelled because it was not begun in time."""

AT_ONCE: Final = 0
"""The ``available_ts`` of a step that is claimable at once, whatever the clock says."""

JSON_BLANKS: Final = " \t\r\n"
"""JSON white space (RFC 8259, section 2), which is stripped from both ends of a text."""

MAX_CLAIM_SIZE: Final = 4 * 1024 * 1024
"""Bytes of payloads in one claim, at most: a claim is read as one text, and decoding it takes
several times its size in memory. A step with a larger payload is claimed alone."""

# Structs with ``gc=False`` may exist in large numbers. They hold only texts and numbers, so they
# cannot form cycles and the garbage collector need not track them.


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A unit of work: a row of ``STEP_TRACKER``.

    ``payload`` and ``result`` are JSON texts. ``retry_count`` is the number of tries used up, so
    the current attempt is number ``retry_count + 1`` of ``max_retries + 1``. ``error`` and
    ``traceback`` are those of the last failed attempt; completion clears them. ``claimed_by``,
    ``incarnation`` and ``claim_token`` describe the current or last claim and are ``None`` while
    the step is pending. A step is encoded as the JSON array of its fields.

    - ``queue``: the queue that it waits in.
    - ``task_type``: the text that its payload names the function by; empty: none.
    - ``key``: what it belongs to within its queue, such as a customer, for limits per key.
    - ``unique_key``: of the steps with one unique key, one is active at a time; with
      ``unique_until_ts``, none is submitted until then.
    - ``labels``: a JSON object of texts, to find the step by.
    - ``timeout``: how many microseconds its function may take; ``None``: as its task says.
    - ``parents``: a JSON object that gives for the id of each step that it waits for how that must
      end, see :mod:`fleet_q.core.dependencies`.
    - ``workflow_id``: the workflow that it belongs to; ``spawned_by``: the step whose completion
      stored it.
    - ``start_by_ts``: if it was not begun by then, it is cancelled: see :func:`is_expired`.
    - ``snoozes``: how often its function put it off.
    - ``checkpoint``, ``progress``: JSON that its function saved and reported. Progress is not in
      the log.
    """

    step_id: str
    status: StepStatus
    priority: int
    payload: str
    retry_count: int
    max_retries: int
    created_ts: int
    last_update_ts: int
    available_ts: int
    claimed_by: str | None = None
    incarnation: str | None = None
    claim_token: str | None = None
    result: str | None = None
    error: str | None = None
    traceback: str | None = None
    version: int = 1
    queue: str = DEFAULT_QUEUE
    task_type: str = ""
    key: str | None = None
    unique_key: str | None = None
    unique_until_ts: int | None = None
    labels: str | None = None
    timeout: int | None = None
    parents: str | None = None
    workflow_id: str | None = None
    spawned_by: str | None = None
    start_by_ts: int | None = None
    snoozes: int = 0
    checkpoint: str | None = None
    progress: str | None = None

    @property
    def attempt(self) -> int:
        """The number of the current or next attempt, from 1."""
        return self.retry_count + 1

    @property
    def has_tries_left(self) -> bool:
        """Whether the step may be retried after the current attempt."""
        return self.retry_count < self.max_retries

    @property
    def payload_size(self) -> int:
        """The bytes of its payload."""
        return size_of(self.payload)

    def is_claimed_under(self, claim_token: str) -> bool:
        """Whether this is the current claim of the step."""
        return self.status == "claimed" and self.claim_token == claim_token

    def is_completed_under(self, claim_token: str) -> bool:
        """Whether this is the claim under which the step was completed."""
        return self.status == "completed" and self.claim_token == claim_token


_FIELDS: Final = Step.__struct_fields__
_STATUS: Final = _FIELDS.index("status")
_VERSION: Final = _FIELDS.index("version")
_LAST_UPDATE: Final = _FIELDS.index("last_update_ts")
_CHANGES: Final = {kind: ColumnChanges(effect.columns, _FIELDS) for kind, effect in EFFECTS.items()}


OnConflict = Literal["existing", "replace", "error"]
"""What becomes of a submission whose unique key another step has: that step stands for it; or it
replaces payload, priority, time and labels of that step if that is pending; or it is refused."""

ON_CONFLICT: Final[tuple[OnConflict, ...]] = get_args(OnConflict)


class Submit(msgspec.Struct, frozen=True, gc=False):
    """Submit a step. ``payload`` is a JSON text; it is claimable after ``delay`` microseconds.

    ``unique`` promises that the id was generated for this submission, so a store need not check
    whether a step with this id exists. ``unique_for`` is how many microseconds after its submission
    the ``unique_key`` is taken at least; ``on_conflict`` says what becomes of the submission if
    another step has it. It must begin within ``start_by`` microseconds. The other fields are those
    of :class:`Step`.
    """

    step_id: str
    payload: str
    priority: int = 0
    max_retries: int = 3
    delay: int = 0
    unique: bool = False
    queue: str = DEFAULT_QUEUE
    task_type: str = ""
    key: str | None = None
    unique_key: str | None = None
    unique_for: int | None = None
    labels: str | None = None
    timeout: int | None = None
    on_conflict: OnConflict = "existing"
    parents: str | None = None
    workflow_id: str | None = None
    spawned_by: str | None = None
    start_by: int | None = None

    @property
    def is_independent(self) -> bool:
        """Whether no other step matters to it: it has a new id, no unique key and no parents."""
        return self.unique and self.unique_key is None and self.parents is None

    @property
    def size(self) -> int:
        """The bytes of its texts, which bound the memory that a submission needs."""
        return size_of(self.payload) + size_of(self.labels or "") + size_of(self.parents or "")


class Replace(msgspec.Struct, frozen=True, gc=False):
    """Make a pending step do what a later submission with its unique key says."""

    step_id: str
    by: Submit


class Claim(msgspec.Struct, frozen=True):
    """Claim a step for the acting pod."""

    step_id: str
    claim_token: str
    incarnation: str


class Complete(msgspec.Struct, frozen=True, tag="completed", gc=False):
    """Report that the function returned; ``result`` is a JSON text.

    The ``children``, which it spawned, are stored with the completion. What waits for the step then
    waits for them, too, except for those whose ids are ``detached``.
    """

    step_id: str
    claim_token: str
    result: str
    children: tuple[Submit, ...] = ()
    detached: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of its texts, which bound the memory that a request needs."""
        return size_of(self.result) + sum(child.size for child in self.children)


class Fail(msgspec.Struct, frozen=True, tag="failed"):
    """Report that an attempt failed.

    If tries are left and the failure is not ``permanent``, the step is claimable again after
    ``retry_delay`` microseconds; otherwise it becomes a dead letter.
    """

    step_id: str
    claim_token: str
    error: str
    traceback: str | None = None
    permanent: bool = False
    retry_delay: int = 0

    @property
    def size(self) -> int:
        """See :class:`Complete`."""
        return size_of(self.error) + size_of(self.traceback or "")


class Release(msgspec.Struct, frozen=True, tag="released"):
    """Release a claimed step unfinished; no try is used up. It is claimable again after
    ``retry_delay`` microseconds."""

    step_id: str
    claim_token: str
    retry_delay: int = 0

    @property
    def size(self) -> int:
        """See :class:`Complete`."""
        return 0


class Snooze(msgspec.Struct, frozen=True, tag="snoozed"):
    """Put a claimed step off; no try is used up. It is claimable again after ``retry_delay``
    microseconds."""

    step_id: str
    claim_token: str
    retry_delay: int = 0

    @property
    def size(self) -> int:
        """See :class:`Complete`."""
        return 0


class SaveCheckpoint(msgspec.Struct, frozen=True):
    """Save ``checkpoint``, a JSON text, for later attempts of a claimed step.

    ``version`` is that of the step before, as its claim or the last save left it. So no save that
    is carried out late replaces a later one.
    """

    step_id: str
    claim_token: str
    checkpoint: str
    version: int


class Recover(msgspec.Struct, frozen=True):
    """Recover an orphan from the claim that it was found under.

    ``never_began``: its function did not begin under that claim and never will, so a step on its
    last try is released instead of failed, and no try is used up.
    """

    step_id: str
    claim_token: str
    never_began: bool = False


class Cancel(msgspec.Struct, frozen=True):
    """Cancel a step that is not final, for the reason ``error`` if it was not a client."""

    step_id: str
    error: str | None = None


class Replay(msgspec.Struct, frozen=True):
    """Make a failed or cancelled step pending again at once, with all its tries."""

    step_id: str


class Restore(msgspec.Struct, frozen=True):
    """Make a failed or cancelled step wait again for its parents, with all its tries."""

    step_id: str


class MakeReady(msgspec.Struct, frozen=True):
    """Make a waiting step pending whose parents have ended."""

    step_id: str


class AddParents(msgspec.Struct, frozen=True):
    """Make a waiting step wait for other steps, too; ``parents`` is the JSON text of all."""

    step_id: str
    parents: str


class Reprioritize(msgspec.Struct, frozen=True):
    """Change the priority of a pending step."""

    step_id: str
    priority: int


class Reject(msgspec.Struct, frozen=True):
    """Make a dead letter of a pending step that holds an invalid row of the inbox."""

    step_id: str
    error: str


Outcome = Complete | Fail | Release | Snooze
Change = Cancel | Replay | Reprioritize
"""What clients do to a step."""

StepCommand = (
    Submit
    | Replace
    | Claim
    | Outcome
    | SaveCheckpoint
    | Recover
    | Change
    | Restore
    | MakeReady
    | AddParents
    | Reject
)


def decide(
    step: Step | None, command: StepCommand, at: int, pod_id: str | None = None
) -> StepEvent | None:
    """The event that ``command`` causes at store time ``at``; ``None`` if it was applied before.

    These commands may be repeated, so that a caller that lost the answer can ask again: submitting
    the same payload with the same parents under the same id, completing under the same claim,
    saving a checkpoint, cancelling, and setting a priority.

    Raises :class:`UnknownStep`, :class:`StepConflict`, :class:`StaleClaim` (the command's claim
    token is not the current one) or :class:`IllegalTransition` (the lifecycle does not allow it).
    """
    fact: StepFact
    if isinstance(command, Submit):
        if step is not None:
            if not _same_json(step.payload, command.payload):
                raise StepConflict(command.step_id)
            if not _has_same_parents(step, command):
                raise StepConflict(command.step_id, "after")
            return None
        fact = ev.Submitted(
            payload=_raw(command.payload),
            priority=command.priority,
            max_retries=command.max_retries,
            available_ts=_after(command.delay, at),
            queue=command.queue,
            task_type=command.task_type,
            key=command.key,
            unique_key=command.unique_key,
            unique_until_ts=unique_until(command, at),
            labels=None if command.labels is None else _raw(command.labels),
            timeout=command.timeout,
            parents=None if command.parents is None else _raw(command.parents),
            workflow_id=command.workflow_id,
            spawned_by=command.spawned_by,
            start_by_ts=start_by(command, at),
        )
        return Event(command.step_id, 1, at, pod_id, fact)

    if step is None:
        raise UnknownStep(command.step_id)
    match command:
        case Claim():
            if not is_due(step, at):
                raise IllegalTransition(
                    "step", "claimed before it is due", step.status, step.step_id
                )
            if is_expired(step, at):
                raise IllegalTransition(
                    "step", "claimed after it has expired", step.status, step.step_id
                )
            fact = ev.Claimed(command.claim_token, command.incarnation)
        case Complete():
            if step.is_completed_under(command.claim_token):
                return None
            _check_claim(step, command.claim_token)
            fact = ev.Completed(command.claim_token, _raw(command.result))
        case Fail():
            _check_claim(step, command.claim_token)
            if is_retried(step, command):
                fact = ev.Retried(
                    command.claim_token,
                    command.error,
                    command.traceback,
                    _after(command.retry_delay, at),
                )
            else:
                fact = ev.Failed(command.claim_token, command.error, command.traceback)
        case Release():
            _check_claim(step, command.claim_token)
            fact = ev.Released(command.claim_token, _after(command.retry_delay, at))
        case Snooze():
            _check_claim(step, command.claim_token)
            fact = ev.Snoozed(command.claim_token, _after(command.retry_delay, at))
        case SaveCheckpoint():
            _check_claim(step, command.claim_token)
            if is_saved(step, command):
                return None
            if step.version != command.version:
                raise StaleClaim(command.step_id)
            fact = ev.Checkpointed(command.claim_token, _raw(command.checkpoint))
        case Recover():
            _check_claim(step, command.claim_token)
            error = DIED.format(step.claimed_by)
            if step.has_tries_left:
                fact = ev.Recovered(command.claim_token, error, AT_ONCE)
            elif command.never_began:
                fact = ev.Released(command.claim_token, AT_ONCE)
            else:
                fact = ev.Failed(command.claim_token, error, None)
        case Cancel():
            if step.status == "cancelled":
                return None
            fact = ev.Cancelled(command.error)
        case Replay():
            fact = ev.Replayed(AT_ONCE)
        case Restore():
            fact = ev.Restored()
        case MakeReady():
            fact = ev.Ready()
        case AddParents():
            fact = ev.ParentsAdded(_raw(command.parents))
        case Replace():
            fact = ev.Replaced(
                payload=_raw(command.by.payload),
                priority=command.by.priority,
                available_ts=_after(command.by.delay, at),
                task_type=command.by.task_type,
                labels=None if command.by.labels is None else _raw(command.by.labels),
                start_by_ts=start_by(command.by, at),
            )
        case Reprioritize():
            if step.status == "pending" and step.priority == command.priority:
                return None
            fact = ev.Reprioritized(command.priority)
        case Reject():
            fact = ev.Rejected(command.error)
    STEP.after(step.status, fact.type, step.step_id)
    return Event(step.step_id, step.version + 1, at, pod_id, fact)


def evolve(step: Step | None, event: StepEvent) -> Step:
    """The step after ``event``. Raises :class:`CorruptLog` if the event is not the next one of its
    stream, and :class:`IllegalTransition` if the lifecycle does not allow it."""
    fact = event.fact
    if step is None or isinstance(fact, ev.Submitted):
        if step is not None or event.version != 1 or not isinstance(fact, ev.Submitted):
            raise CorruptLog(f"step {event.stream!r} must begin with its only submitted event")
        return Step(
            step_id=event.stream,
            status=STEP.initial if fact.parents is None else "waiting",
            priority=fact.priority,
            payload=json_text(fact.payload),
            retry_count=0,
            max_retries=fact.max_retries,
            created_ts=event.at,
            last_update_ts=event.at,
            available_ts=fact.available_ts,
            queue=fact.queue,
            task_type=fact.task_type,
            key=fact.key,
            unique_key=fact.unique_key,
            unique_until_ts=fact.unique_until_ts,
            labels=json_text_or_none(fact.labels),
            timeout=fact.timeout,
            parents=json_text_or_none(fact.parents),
            workflow_id=fact.workflow_id,
            spawned_by=fact.spawned_by,
            start_by_ts=fact.start_by_ts,
        )
    if event.version != step.version + 1:
        raise CorruptLog(
            f"step {event.stream!r} has a gap:"
            f" version {event.version} follows version {step.version}"
        )
    kind = fact.type
    status = STEP.after(step.status, kind, step.step_id)
    row = list(astuple(step))
    row[_STATUS], row[_VERSION], row[_LAST_UPDATE] = status, event.version, event.at
    _CHANGES[kind].apply(row, event)
    return Step(*row)


def fold(history: Iterable[StepEvent]) -> Step | None:
    """The step after all events of its history; ``None`` for an empty history."""
    step: Step | None = None
    for event in history:
        step = evolve(step, event)
    return step


def is_retried(step: Step, failure: Fail) -> bool:
    """Whether the step is pending again after its current attempt failed so, or else failed."""
    return step.has_tries_left and not failure.permanent


def is_saved(step: Step, save: SaveCheckpoint) -> bool:
    """Whether the last event of a claimed step is that of this ``save``."""
    return step.version == save.version + 1 and step.checkpoint == save.checkpoint


def is_due(step: Step, at: int) -> bool:
    """Whether a pending step may be claimed at store time ``at``.

    It may from ``available_ts`` on, by the clock now or at its last update. A retry whose last
    event lies in the future is also due: the clock was set back, so the rest of its retry delay is
    unknown, and an early retry does no harm. The delay of a submission is always waited for. On
    Snowflake that future begins after the longest wait of a statement.
    """
    is_retry_of_future = step.retry_count > 0 and step.last_update_ts > at
    return is_retry_of_future or step.available_ts <= max(at, step.last_update_ts)


def is_expired(step: Step, at: int) -> bool:
    """Whether a step that waits was not begun in time, and must not any more at store time
    ``at``."""
    return step.status in ("pending", "waiting") and is_late(step, at)


def is_late(step: Step, at: int) -> bool:
    """Whether a step was not begun in time, and must not any more at store time ``at``."""
    begin_by = must_begin_by(step)
    return begin_by is not None and begin_by < at


def must_begin_by(step: Step) -> int | None:
    """The store time until which a step must begin; ``None``: any time. A step that was retried or
    snoozed has begun before; one that was released counts as not begun."""
    return None if step.retry_count or step.snoozes else step.start_by_ts


def as_stored(submit: Submit, at: int) -> Step:
    """The step that a submission stores at store time ``at``."""
    event = decide(None, submit, at)
    assert event is not None
    return evolve(None, event)


def unique_until(submit: Submit, at: int) -> int | None:
    """The ``unique_until_ts`` of a step that is submitted at store time ``at``."""
    return None if submit.unique_for is None else at + submit.unique_for


def start_by(submit: Submit, at: int) -> int | None:
    """The ``start_by_ts`` of a step that is submitted at store time ``at``."""
    return None if submit.start_by is None else at + submit.start_by


class Claimable(InQueue, Protocol):
    """What the rule of claims reads of a step."""

    @property
    def priority(self) -> int: ...
    @property
    def created_ts(self) -> int: ...
    @property
    def step_id(self) -> str: ...

    @property
    def payload_size(self) -> int: ...
    @property
    def has_tries_left(self) -> bool: ...


C = TypeVar("C", bound=Claimable)


def claim_order(step: Claimable) -> tuple[int, int, str]:
    """Sort key of the queue: highest priority first, then oldest, then by id for a total order."""
    return (-step.priority, step.created_ts, step.step_id)


def steps_to_claim(
    queue: Sequence[C], free: int, slots: int = 0, limits: ClaimLimits | None = None
) -> list[C]:
    """Select what a claim takes of ``queue``: the first steps in :func:`claim_order` for which
    there is room in their queues, as many as the claim asks for.

    After the first ``free`` steps, it takes only those with tries left, because they may have to
    wait before they begin, and a step on its last try fails if its pod dies meanwhile. Of queues
    with ``limits``, it takes steps only among the first ``slots``, which do not wait: see
    :meth:`ClaimLimits.concerns`. It stops before the payloads exceed ``MAX_CLAIM_SIZE``, but always
    takes the first step.
    """
    selected: list[C] = []
    size = 0
    for position, step in enumerate(queue):
        size += step.payload_size
        if size > MAX_CLAIM_SIZE and position > 0:
            break
        if limits is not None and limits.concerns(step) and position >= slots:
            continue
        if position < free or step.has_tries_left:
            selected.append(step)
    return selected


def _after(delay: int, at: int) -> int:
    return at + delay if delay else AT_ONCE


def _check_claim(step: Step, claim_token: str) -> None:
    if not step.is_claimed_under(claim_token):
        raise StaleClaim(step.step_id)


def _raw(text: str) -> msgspec.Raw:
    """A JSON text as stored in the log, which does not preserve white space around it."""
    return msgspec.Raw(text.strip(JSON_BLANKS))


def has_parents_of(step: Step, submit: Submit) -> bool:
    """Whether the step has the parents of a submission, with the same kinds. It may have others,
    which were added later."""
    if submit.parents is None or submit.parents == step.parents:
        return True
    parents = object_of(step.parents or "{}")
    return object_of(submit.parents).items() <= parents.items()


def _has_same_parents(step: Step, submit: Submit) -> bool:
    """Whether the step has the parents with which a submission of its id would be stored. Of a
    workflow that is submitted again, other steps may stand for them meanwhile."""
    if step.workflow_id is not None and step.workflow_id == submit.workflow_id:
        return True
    return (step.parents is None) == (submit.parents is None) and has_parents_of(step, submit)


def _same_json(one: str, other: str) -> bool:
    """Whether two JSON texts are equal but for white space and key order. 1, 1.0 and true
    differ."""
    return one == other or _canonical(one) == _canonical(other)


def _canonical(text: str) -> bytes:
    return msgspec.json.encode(value_of(text), order="sorted")
