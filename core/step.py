"""A step's life: the only place where one may change.

``decide`` says which event a command leads to, ``evolve`` what an event makes of the state;
whatever a store keeps is a fold of ``evolve`` over its log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import astuple

from fleet_q.core import events as ev
from fleet_q.core.effects import ColumnChanges, json_text
from fleet_q.core.errors import CorruptLog, IllegalTransition, StaleClaim, StepConflict, UnknownStep
from fleet_q.core.events import Event, StepEvent, StepFact
from fleet_q.core.lifecycle import EFFECTS, STEP, StepStatus

DIED: Final = "pod {} died while it held the step"
"""The error of an attempt whose pod died; the braces stand for the pod's id."""

AT_ONCE: Final = 0
"""The ``available_ts`` of a step that waits for nothing: claimable whatever the clock says."""

JSON_BLANKS: Final = " \t\r\n"
"""What JSON calls white space, RFC 8259, section 2; around a text, the log does not keep it."""

MAX_CLAIM_SIZE: Final = 4 * 1024 * 1024
"""Characters of payloads claimed in one turn, about: a claim is read as one text, which takes a few
times as much memory for a moment. A step with a longer payload is claimed alone."""

# There may be very many of the structs with ``gc=False``. They hold texts and numbers alone, so the
# garbage collector need not look through them for cycles.


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A unit of work, as a row of ``STEP_TRACKER`` has it.

    ``payload`` and ``result`` are JSON texts. ``retry_count`` counts the tries used up, so the
    attempt that runs is ``retry_count + 1`` of ``max_retries + 1``. ``error`` and ``traceback``
    are the last failed attempt's until the step completes. Whose claim it is, or was last, say
    ``claimed_by``, ``incarnation`` and ``claim_token``; they are empty while it is pending. Its
    JSON is the array of its fields.
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

    @property
    def attempt(self) -> int:
        """The number of the attempt that runs or comes next, from 1."""
        return self.retry_count + 1

    @property
    def has_tries_left(self) -> bool:
        """Whether the step may be tried again after the attempt that runs."""
        return self.retry_count < self.max_retries


_FIELDS: Final = Step.__struct_fields__
_STATUS: Final = _FIELDS.index("status")
_VERSION: Final = _FIELDS.index("version")
_LAST_UPDATE: Final = _FIELDS.index("last_update_ts")
_CHANGES: Final = {kind: ColumnChanges(effect.columns, _FIELDS) for kind, effect in EFFECTS.items()}


class Submit(msgspec.Struct, frozen=True, gc=False):
    """Ask for a step: ``payload`` is a JSON text, ``delay`` microseconds until it is claimable.

    ``unique`` promises that the id was made for this submission alone, so that a store need not
    look whether it is taken.
    """

    step_id: str
    payload: str
    priority: int = 0
    max_retries: int = 3
    delay: int = 0
    unique: bool = False


class Claim(msgspec.Struct, frozen=True):
    """Take a step for the pod that acts."""

    step_id: str
    claim_token: str
    incarnation: str


class Complete(msgspec.Struct, frozen=True, tag="completed", gc=False):
    """Acknowledge success; ``result`` is a JSON text."""

    step_id: str
    claim_token: str
    result: str

    @property
    def size(self) -> int:
        """Characters of its texts, for which a store and its clients need memory."""
        return len(self.result)


class Fail(msgspec.Struct, frozen=True, tag="failed"):
    """Acknowledge a failed attempt.

    With tries left and ``permanent`` false, the step is claimable again ``retry_delay``
    microseconds later; otherwise it is a dead letter.
    """

    step_id: str
    claim_token: str
    error: str
    traceback: str | None = None
    permanent: bool = False
    retry_delay: int = 0

    @property
    def size(self) -> int:
        """As of :class:`Complete`."""
        return len(self.error) + len(self.traceback or "")


class Release(msgspec.Struct, frozen=True, tag="released"):
    """Give a step back unfinished, with no try used up."""

    step_id: str
    claim_token: str

    @property
    def size(self) -> int:
        """As of :class:`Complete`."""
        return 0


class Recover(msgspec.Struct, frozen=True):
    """Take an orphan from the claim it was found under.

    ``never_began``: its function certainly did not begin under that claim and never will, so a
    step on its last try is released, with no try used up.
    """

    step_id: str
    claim_token: str
    never_began: bool = False


class Cancel(msgspec.Struct, frozen=True):
    """Call a pending or claimed step off."""

    step_id: str


class Replay(msgspec.Struct, frozen=True):
    """Give a failed or cancelled step all its tries again, now."""

    step_id: str


Outcome = Complete | Fail | Release
StepCommand = Submit | Claim | Outcome | Recover | Cancel | Replay


def decide(
    step: Step | None, command: StepCommand, at: int, pod_id: str | None = None
) -> StepEvent | None:
    """The event that ``command`` leads to at store time ``at``; ``None`` if it has been done.

    Doing the same thing twice is no error, so that a lost answer can be asked for again:
    submitting the same payload under the same id, acknowledging success under the same claim,
    cancelling what is cancelled.

    Raises :class:`UnknownStep`, :class:`StepConflict`, :class:`StaleClaim` (the command's claim
    token is not the step's) or :class:`IllegalTransition` (the lifecycle forbids it).
    """
    fact: StepFact
    if isinstance(command, Submit):
        if step is not None:
            if not _same_json(step.payload, command.payload):
                raise StepConflict(command.step_id)
            return None
        fact = ev.Submitted(
            payload=_raw(command.payload),
            priority=command.priority,
            max_retries=command.max_retries,
            available_ts=_after(command.delay, at),
        )
        return Event(command.step_id, 1, at, pod_id, fact)

    if step is None:
        raise UnknownStep(command.step_id)
    match command:
        case Claim():
            if not is_due(step, at):
                raise IllegalTransition(
                    "step", "claimed before its time", step.status, step.step_id
                )
            fact = ev.Claimed(command.claim_token, command.incarnation)
        case Complete():
            if step.status == "completed" and step.claim_token == command.claim_token:
                return None
            _check_claim(step, command.claim_token)
            fact = ev.Completed(command.claim_token, _raw(command.result))
        case Fail():
            _check_claim(step, command.claim_token)
            if step.has_tries_left and not command.permanent:
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
            fact = ev.Released(command.claim_token, AT_ONCE)
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
            fact = ev.Cancelled()
        case Replay():
            fact = ev.Replayed(AT_ONCE)
    STEP.after(step.status, fact.type, step.step_id)
    return Event(step.step_id, step.version + 1, at, pod_id, fact)


def evolve(step: Step | None, event: StepEvent) -> Step:
    """What ``event`` makes of ``step``. Raises :class:`CorruptLog` if its version cannot come next,
    :class:`IllegalTransition` if the lifecycle forbids it."""
    fact = event.fact
    if step is None or isinstance(fact, ev.Submitted):
        if step is not None or event.version != 1 or not isinstance(fact, ev.Submitted):
            raise CorruptLog(f"step {event.stream!r} does not begin with one submission")
        return Step(
            step_id=event.stream,
            status=STEP.initial,
            priority=fact.priority,
            payload=json_text(fact.payload),
            retry_count=0,
            max_retries=fact.max_retries,
            created_ts=event.at,
            last_update_ts=event.at,
            available_ts=fact.available_ts,
        )
    if event.version != step.version + 1:
        raise CorruptLog(
            f"step {event.stream!r} has version {event.version} after version {step.version}"
        )
    kind = fact.type
    status = STEP.after(step.status, kind, step.step_id)
    row = list(astuple(step))
    row[_STATUS], row[_VERSION], row[_LAST_UPDATE] = status, event.version, event.at
    _CHANGES[kind].apply(row, event)
    return Step(*row)


def fold(history: Iterable[StepEvent]) -> Step | None:
    """The state that a step's whole history adds up to."""
    step: Step | None = None
    for event in history:
        step = evolve(step, event)
    return step


def is_due(step: Step, at: int) -> bool:
    """Whether a pending step may be claimed at store time ``at``: its time has come, by now or
    when it was changed last. Or it waits to be retried and failed later than now, so the clock has
    been set back since: the rest of its backoff cannot be told, and to be early does no harm. A
    delay from its submission is waited for, whatever the clock does."""
    is_retry_of_future = step.version > 1 and step.last_update_ts > at
    return is_retry_of_future or step.available_ts <= max(at, step.last_update_ts)


def claim_order(step: Step) -> tuple[int, int, str]:
    """Sort key of the queue: higher priority first, then age, then id so that it is total."""
    return (-step.priority, step.created_ts, step.step_id)


def steps_to_claim(first: Sequence[Step], free: int) -> list[Step]:
    """What a claim takes of the ``first`` steps of the queue: as many as it asks for, in
    :func:`claim_order`.

    Of those beyond the first ``free``, which would wait before they begin, only such as may be
    tried again: on its last try a step fails if its pod dies, unless it is known that it had not
    begun. And of
    payloads at most ``MAX_CLAIM_SIZE``, but always the first.
    """
    taken: list[Step] = []
    total = 0
    for place, step in enumerate(first):
        total += len(step.payload)
        if total > MAX_CLAIM_SIZE and place > 0:
            break
        if place < free or step.has_tries_left:
            taken.append(step)
    return taken


def _after(delay: int, at: int) -> int:
    return at + delay if delay else AT_ONCE


def _check_claim(step: Step, claim_token: str) -> None:
    if step.status != "claimed" or step.claim_token != claim_token:
        raise StaleClaim(step.step_id)


def _raw(text: str) -> msgspec.Raw:
    """A JSON text as the log keeps it; blanks around it would not come back from there."""
    return msgspec.Raw(text.strip(JSON_BLANKS))


def _same_json(one: str, other: str) -> bool:
    """Whether two texts say the same but for the order of keys; 1, 1.0 and true do not."""
    return one == other or _canonical(one) == _canonical(other)


def _canonical(text: str) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(text), order="sorted")
