"""What a simulation is made of, as plain values: whatever is drawn, is drawn before it begins."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from fleet_q.adapters.snowflake.traits import MOST_WAITERS
from fleet_q.core.settings import PodSettings
from fleet_q.services.simulation.models import Kind

CLIENT: Final = "client"
"""The name of everyone who submits, cancels and replays, for strikes at one of them."""

STRANGER: Final = "stranger"
"""The name of whoever holds locks and is none of the fleet."""

Behaviour = Literal["succeeds", "fails", "fails for good", "hangs", "kills its pod"]


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A step and what its function does: it takes ``seconds``, and misbehaves in its first
    ``bad_attempts``. ``timeout`` is the function's, in seconds."""

    step_id: str
    priority: int = 0
    max_retries: int = 3
    delay: float = 0.0
    seconds: float = 1.0
    behaviour: Behaviour = "succeeds"
    bad_attempts: int = 0
    timeout: float | None = None

    def behaves(self, attempt: int) -> Behaviour:
        """What the function does in this attempt, from 1."""
        return self.behaviour if attempt <= self.bad_attempts else "succeeds"


class Submission(msgspec.Struct, frozen=True, tag=True):
    """Steps that are submitted at once, by a pod or from outside. If their ids are ``unique``,
    nobody asks again when there is no answer."""

    at: float
    steps: tuple[Work, ...]
    pod_id: str | None = None
    unique: bool = False


class Cancellation(msgspec.Struct, frozen=True, tag=True):
    """Somebody calls a step off."""

    at: float
    step_id: str


class Replaying(msgspec.Struct, frozen=True, tag=True):
    """Somebody replays a step that failed or was cancelled."""

    at: float
    step_id: str


class Crash(msgspec.Struct, frozen=True, tag=True):
    """The process dies, and begins again ``back_after`` seconds later, or never."""

    at: float
    pod_id: str
    back_after: float | None = None


class Freeze(msgspec.Struct, frozen=True, tag=True):
    """The process stands still, and goes on as if nothing had been: a zombie."""

    at: float
    pod_id: str
    seconds: float


class DuplicatePod(msgspec.Struct, frozen=True, tag=True):
    """Another process begins under the id of one that lives."""

    at: float
    pod_id: str


class Stop(msgspec.Struct, frozen=True, tag=True):
    """The pod is told to drain, within ``grace`` seconds (``None``: its setting)."""

    at: float
    pod_id: str
    grace: float | None = None
    back_after: float | None = None


class ClockJump(msgspec.Struct, frozen=True, tag=True):
    """The pod's clock leaps forward."""

    at: float
    pod_id: str
    seconds: float


class TransactionFault(msgspec.Struct, frozen=True, tag=True):
    """Trouble in the midst of the pod's next transaction: before its statement number
    ``statement`` (from 0; counted on from the first after the last) it is held up for ``seconds``,
    and then goes on, fails, or its process dies. A failure behind the commit is an answer that is
    lost. After that, the queues for locks are full for ``crowded`` seconds, of strangers."""

    at: float
    pod_id: str
    statement: int
    seconds: float = 0.0
    then: Literal["goes on", "fails", "dies"] = "fails"
    contended: float = 0.0
    back_after: float | None = None


class StoreOutage(msgspec.Struct, frozen=True, tag=True):
    """The store does not answer anyone."""

    at: float
    seconds: float


class Suspension(msgspec.Struct, frozen=True, tag=True):
    """All processes stand still, as on a machine that is suspended, and their clocks go on."""

    at: float
    seconds: float


class LongLock(msgspec.Struct, frozen=True, tag=True):
    """Somebody else holds the locks that heartbeats and claims need; queries are answered."""

    at: float
    seconds: float


class StoreClock(msgspec.Struct, frozen=True, tag=True):
    """The store's clock is set, by ``seconds`` forward or, if they are negative, back."""

    at: float
    seconds: float


class Start(msgspec.Struct, frozen=True):
    """A pod's beginning; its clock runs ``rate`` times as fast as the store's."""

    pod_id: str
    at: float = 0.0
    rate: float = 1.0


PodFault = Crash | Freeze | DuplicatePod | Stop | ClockJump | TransactionFault
FleetFault = StoreOutage | Suspension | LongLock | StoreClock
Fault = PodFault | FleetFault
Request = Submission | Cancellation | Replaying


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """All that happens to a fleet from outside; ``seconds`` is when the trouble is over.

    Fewer than Snowflake's twenty may wait for a lock where ``most_waiters`` says so: a few pods
    would never be turned away.
    A fleet that is ``sized`` to measure what it can do is promised nothing about time: how long
    things take is what is measured.
    """

    seed: int
    store: Kind
    settings: PodSettings
    seconds: float
    pods: tuple[Start, ...]
    requests: tuple[Request, ...]
    faults: tuple[Fault, ...]
    most_waiters: int = MOST_WAITERS
    sized: bool = False

    @property
    def steps(self) -> int:
        """How many steps are submitted."""
        return sum(len(each.steps) for each in self.requests if isinstance(each, Submission))
