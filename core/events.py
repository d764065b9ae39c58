"""What can happen to a step or a pod: the facts, and the envelope that the log keeps them in.

The tag of a fact is the name of its trigger in :mod:`fleet_q.core.lifecycle`; ``submitted`` and
a pod's first ``joined`` begin a stream.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Raw

JSON_FIELDS: Final = frozenset({"payload", "result"})
"""The fields whose values are JSON, kept word for word."""


class Fact(msgspec.Struct, frozen=True, tag_field="type"):
    """One thing that happened, without where and when."""

    @property
    def type(self) -> str:
        """The fact's tag, as the log's ``type`` column has it."""
        return str(self.__struct_config__.tag)


class Submitted(Fact, frozen=True, tag="submitted"):
    """A step came into being. It is claimable from ``available_ts`` on; 0: at once. So for all
    facts that have one; where it is missing, as in the logs of earlier versions, the step keeps
    the time that it had, or after a replay, may be claimed from the event's own time on."""

    payload: Raw
    priority: int
    max_retries: int
    available_ts: int


class Claimed(Fact, frozen=True, tag="claimed"):
    """A pod took the step: the event's pod, in this incarnation, under this token."""

    claim_token: str
    incarnation: str


class Completed(Fact, frozen=True, tag="completed"):
    """The claim's holder finished the step; ``result`` is the function's return value as JSON."""

    claim_token: str
    result: Raw


class Retried(Fact, frozen=True, tag="retried"):
    """An attempt failed and tries are left; the next may begin at ``available_ts``."""

    claim_token: str
    error: str
    traceback: str | None
    available_ts: int


class Released(Fact, frozen=True, tag="released"):
    """The holder gave the step back unfinished, or a leader did after the holder died before the
    function began; no try is used up."""

    claim_token: str
    available_ts: int | None = None


class Recovered(Fact, frozen=True, tag="recovered"):
    """A leader took the step from a pod that died with it; one try is used up."""

    claim_token: str
    error: str
    available_ts: int | None = None


class Failed(Fact, frozen=True, tag="failed"):
    """The step failed for good and is a dead letter from now on."""

    claim_token: str
    error: str
    traceback: str | None


class Cancelled(Fact, frozen=True, tag="cancelled"):
    """Somebody called the step off."""


class Replayed(Fact, frozen=True, tag="replayed"):
    """Somebody gave a failed or cancelled step all its tries again."""

    available_ts: int | None = None


class Joined(Fact, frozen=True, tag="joined"):
    """A process began to live under the pod's id, as this incarnation."""

    incarnation: str


class Slept(Fact, frozen=True, tag="slept"):
    """The incarnation holds nothing and will not be heard of until there is work."""

    incarnation: str


class Woke(Fact, frozen=True, tag="woke"):
    """The incarnation sends heartbeats again."""

    incarnation: str


class Draining(Fact, frozen=True, tag="draining"):
    """The incarnation takes no new steps any more."""

    incarnation: str


class Left(Fact, frozen=True, tag="left"):
    """The incarnation ended in good order."""

    incarnation: str


class DeclaredDead(Fact, frozen=True, tag="declared_dead"):
    """The event's pod found that this incarnation's heartbeat is older than allowed."""

    incarnation: str


StepFact = (
    Submitted | Claimed | Completed | Retried | Released | Recovered | Failed | Cancelled | Replayed
)
PodFact = Joined | Slept | Woke | Draining | Left | DeclaredDead

F = TypeVar("F", StepFact, PodFact)


class Event(msgspec.Struct, Generic[F], frozen=True):
    """One line of the log.

    ``stream`` is the step's or the pod's id, ``version`` counts from 1 without gaps within it,
    ``at`` is the store's clock, ``pod_id`` the pod that did it (``None``: somebody from outside).
    """

    stream: str
    version: int
    at: int
    pod_id: str | None
    fact: F


StepEvent = Event[StepFact]
PodEvent = Event[PodFact]
