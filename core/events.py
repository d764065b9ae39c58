"""The events of steps and pods: one fact type for each kind, and the record that holds a fact.

The tag of a fact is the name of its trigger in :mod:`fleet_q.core.lifecycle`. The first event of a
step is ``submitted``, that of a pod ``joined``.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Raw

JSON_FIELDS: Final = frozenset(
    {"payload", "result", "labels", "description", "parents", "checkpoint"}
)
"""The fields of facts that hold JSON, stored verbatim."""

DEFAULT_QUEUE: Final = "default"
"""The queue of a step whose submission names none."""


class Fact(msgspec.Struct, frozen=True, tag_field="type"):
    """The content of an event, without its stream, version and time."""

    @property
    def type(self) -> str:
        """The tag of the fact, as stored in the ``type`` column of the log."""
        return str(self.__struct_config__.tag)


class Submitted(Fact, frozen=True, tag="submitted"):
    """A client submitted the step.

    ``available_ts`` is the time from which the step is claimable; 0 means immediately. Other facts
    use it likewise. Logs of earlier versions lack it in some facts: then the step keeps its time,
    or after a replay is claimable from the time of the event. The fields from ``queue`` on are
    those of :class:`fleet_q.core.step.Step`.
    """

    payload: Raw
    priority: int
    max_retries: int
    available_ts: int
    queue: str = DEFAULT_QUEUE
    task_type: str = ""
    key: str | None = None
    unique_key: str | None = None
    unique_until_ts: int | None = None
    labels: Raw | None = None
    timeout: int | None = None
    parents: Raw | None = None
    workflow_id: str | None = None
    spawned_by: str | None = None
    start_by_ts: int | None = None


class Claimed(Fact, frozen=True, tag="claimed"):
    """The event's pod, as this incarnation, claimed the step under this token."""

    claim_token: str
    incarnation: str


class Completed(Fact, frozen=True, tag="completed"):
    """The function returned; ``result`` is its return value as JSON."""

    claim_token: str
    result: Raw


class Retried(Fact, frozen=True, tag="retried"):
    """An attempt failed and tries are left; the step is claimable again at ``available_ts``."""

    claim_token: str
    error: str
    traceback: str | None
    available_ts: int


class Released(Fact, frozen=True, tag="released"):
    """The pod released the step unfinished, or a leader did because the pod died before the
    function began. No try is used up."""

    claim_token: str
    available_ts: int | None = None


class Recovered(Fact, frozen=True, tag="recovered"):
    """A leader recovered the step from a dead pod; one try is used up."""

    claim_token: str
    error: str
    available_ts: int | None = None


class Failed(Fact, frozen=True, tag="failed"):
    """The step failed and is now a dead letter."""

    claim_token: str
    error: str
    traceback: str | None


class Cancelled(Fact, frozen=True, tag="cancelled"):
    """A client cancelled the step, or the store did for the reason ``error``: a parent did not end
    as the step requires, or it was not begun in time."""

    error: str | None = None


class Replayed(Fact, frozen=True, tag="replayed"):
    """A client made a failed or cancelled step pending again, with all its tries."""

    available_ts: int | None = None


class Ready(Fact, frozen=True, tag="ready"):
    """The parents of the step have ended as it requires."""


class ParentsAdded(Fact, frozen=True, tag="parents_added"):
    """The waiting step waits for more steps: ``parents`` are all of its parents."""

    parents: Raw


class Restored(Fact, frozen=True, tag="restored"):
    """A client made a failed or cancelled step wait for its parents again, with all its tries."""


class Snoozed(Fact, frozen=True, tag="snoozed"):
    """The function put the step off until ``available_ts``. No try is used up."""

    claim_token: str
    available_ts: int


class Checkpointed(Fact, frozen=True, tag="checkpointed"):
    """The function saved ``checkpoint``, which its later attempts read."""

    claim_token: str
    checkpoint: Raw


class Replaced(Fact, frozen=True, tag="replaced"):
    """A client submitted another step with the unique key of this one, which was pending: its
    payload, priority, times and labels are those of the later submission."""

    payload: Raw
    priority: int
    available_ts: int
    task_type: str
    labels: Raw | None
    start_by_ts: int | None = None


class Reprioritized(Fact, frozen=True, tag="reprioritized"):
    """A client changed the priority of the pending step."""

    priority: int


class Rejected(Fact, frozen=True, tag="rejected"):
    """The row of the inbox that the step holds is no valid submission."""

    error: str


class Joined(Fact, frozen=True, tag="joined"):
    """A process joined the fleet under the pod's id, as this incarnation.

    ``description`` is that of :class:`fleet_q.core.pod.Pod`; events of earlier versions lack it.
    """

    incarnation: str
    description: Raw | None = None


class Slept(Fact, frozen=True, tag="slept"):
    """The incarnation holds no steps and sends no heartbeats until there is work."""

    incarnation: str


class Woke(Fact, frozen=True, tag="woke"):
    """The incarnation is awake and sends heartbeats again."""

    incarnation: str


class Draining(Fact, frozen=True, tag="draining"):
    """The incarnation claims no more steps."""

    incarnation: str


class Left(Fact, frozen=True, tag="left"):
    """The incarnation shut down and released its steps."""

    incarnation: str


class DeclaredDead(Fact, frozen=True, tag="declared_dead"):
    """The event's pod declared this incarnation dead, because its heartbeats had stopped."""

    incarnation: str


StepFact = (
    Submitted
    | Claimed
    | Completed
    | Retried
    | Released
    | Recovered
    | Failed
    | Cancelled
    | Replayed
    | Ready
    | ParentsAdded
    | Restored
    | Snoozed
    | Checkpointed
    | Replaced
    | Reprioritized
    | Rejected
)
PodFact = Joined | Slept | Woke | Draining | Left | DeclaredDead

F = TypeVar("F", StepFact, PodFact)


class Event(msgspec.Struct, Generic[F], frozen=True):
    """One row of the event log.

    ``stream`` is the id of the step or pod, ``version`` counts from 1 without gaps within a
    stream, ``at`` is the time by the store's clock, and ``pod_id`` is who caused the event: a pod,
    or the name of a client or an operator (``None``: one without a name).
    """

    stream: str
    version: int
    at: int
    pod_id: str | None
    fact: F


StepEvent = Event[StepFact]
PodEvent = Event[PodFact]
