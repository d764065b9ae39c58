"""Scenarios as plain values. Everything random about a scenario is drawn before it is run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from fleet_q.adapters.snowflake.times import MEASURED, Times
from fleet_q.adapters.snowflake.traits import MOST_WAITERS
from fleet_q.core.dependencies import Kind
from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.queues import QueueChange
from fleet_q.core.schedules import Missed, Overlap
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import OnConflict
from fleet_q.services.simulation.models import Kind as StoreKind

CLIENT: Final = "client"
"""The actor name of all clients that submit, cancel and replay; a :class:`TransactionFault` of
this name hits the next one."""

OUTSIDER: Final = "outsider"
"""The actor name of a client outside the fleet that holds locks."""

Behaviour = Literal[
    "succeeds", "fails", "fails for good", "hangs", "kills its pod", "returns too much"
]

Table = Literal["step_tracker", "step_events", "pod_health"]


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A step and its function, which takes ``seconds`` and shows ``behaviour`` in its first
    ``bad_attempts`` attempts, and then succeeds. Before that it puts its step off ``snoozes``
    times, for ``snooze_for``. ``delay``, ``start_by``, ``timeout``, ``unique_for`` and
    ``snooze_for`` are in seconds. A row of the inbox that is not ``is_valid`` is no submission. The
    function saves ``saves`` checkpoints. ``after``: the ids of its parents, and how each must
    end. When it succeeds, the function spawns ``spawns`` steps."""

    step_id: str
    priority: int = 0
    max_retries: int = 3
    delay: float = 0.0
    seconds: float = 1.0
    behaviour: Behaviour = "succeeds"
    bad_attempts: int = 0
    timeout: float | None = None
    queue: str = DEFAULT_QUEUE
    key: str | None = None
    task_type: str = ""
    unique_key: str | None = None
    unique_for: float | None = None
    on_conflict: OnConflict = "existing"
    is_valid: bool = True
    saves: int = 0
    after: tuple[tuple[str, Kind], ...] = ()
    start_by: float | None = None
    snoozes: int = 0
    snooze_for: float = 0.0
    spawns: int = 0

    def behaves(self, attempt: int) -> Behaviour:
        """The function's behaviour in this attempt, counted from 1."""
        return self.behaviour if attempt <= self.bad_attempts else "succeeds"


class Submission(msgspec.Struct, frozen=True, tag=True):
    """Submits steps in one call, from pod ``pod_id`` or from outside. If their ids are ``unique``,
    the call is not retried, unless through the mailbox; nor if it inserts rows into the
    ``inbox``."""

    at: float
    steps: tuple[Work, ...]
    pod_id: str | None = None
    unique: bool = False
    inbox: bool = False


class Cancellation(msgspec.Struct, frozen=True, tag=True):
    """Cancels a step."""

    at: float
    step_id: str


class Replaying(msgspec.Struct, frozen=True, tag=True):
    """Replays a step that failed or was cancelled."""

    at: float
    step_id: str


class Reprioritizing(msgspec.Struct, frozen=True, tag=True):
    """Changes the priority of a step that is pending."""

    at: float
    step_id: str
    priority: int


class QueueSetting(msgspec.Struct, frozen=True, tag=True):
    """Changes the limits of a queue."""

    at: float
    queue: str
    change: QueueChange


class ScheduleSetting(msgspec.Struct, frozen=True, tag=True):
    """Puts a schedule, whose name is the id of ``work`` and whose steps do that work. ``every`` and
    ``window`` are in seconds."""

    at: float
    work: Work
    every: float
    overlap: Overlap
    missed: Missed
    window: float


class SchedulePause(msgspec.Struct, frozen=True, tag=True):
    """Pauses or resumes a schedule, if it exists."""

    at: float
    schedule: str
    paused: bool


class Crash(msgspec.Struct, frozen=True, tag=True):
    """Kills the process, and restarts it ``back_after`` seconds later; ``None`` is never."""

    at: float
    pod_id: str
    back_after: float | None = None


class Freeze(msgspec.Struct, frozen=True, tag=True):
    """Suspends the process for ``seconds``; it goes on without noticing."""

    at: float
    pod_id: str
    seconds: float


class DuplicatePod(msgspec.Struct, frozen=True, tag=True):
    """Starts another process under the id of a pod that is alive."""

    at: float
    pod_id: str


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Drains the pod within ``grace`` seconds (``None``: its setting), and restarts it
    ``back_after`` seconds later; ``None`` is never."""

    at: float
    pod_id: str
    grace: float | None = None
    back_after: float | None = None


class Upgrade(msgspec.Struct, frozen=True, tag=True):
    """Drains the pod, and starts another version of it ``back_after`` seconds later, which takes
    other steps: see :class:`Start`."""

    at: float
    pod_id: str
    back_after: float
    queues: tuple[str, ...] | None = None
    task_types: tuple[str, ...] | None = None


class ClockJump(msgspec.Struct, frozen=True, tag=True):
    """Moves the pod's clock forward by ``seconds``."""

    at: float
    pod_id: str
    seconds: float


class TransactionFault(msgspec.Struct, frozen=True, tag=True):
    """Disturbs the pod's next transaction: before request number ``statement`` (from 0, modulo
    the number of requests plus one) it halts for ``seconds``, and then goes on, fails (with an
    error that may be unknown, or as the victim of a deadlock), or its process dies. A failure after
    the commit loses the answer. After that, the lock queues are full for ``contended`` seconds. The
    process restarts ``back_after`` seconds after its death; ``None`` is never."""

    at: float
    pod_id: str
    statement: int
    seconds: float = 0.0
    then: Literal["goes on", "fails", "unknown error", "deadlocks", "dies"] = "fails"
    contended: float = 0.0
    back_after: float | None = None


class UnreachableStorage(msgspec.Struct, frozen=True, tag=True):
    """Lets the pod receive no large results for ``seconds``: they come from the cloud's storage,
    whose host does not answer."""

    at: float
    pod_id: str
    seconds: float


class StoreOutage(msgspec.Struct, frozen=True, tag=True):
    """Makes the store unavailable for ``seconds``."""

    at: float
    seconds: float


class Suspension(msgspec.Struct, frozen=True, tag=True):
    """Suspends all processes for ``seconds``, like a suspended machine whose clocks go on."""

    at: float
    seconds: float


class LongLock(msgspec.Struct, frozen=True, tag=True):
    """Holds, from outside, the locks that heartbeats and claims need, for ``seconds``; queries are
    answered."""

    at: float
    seconds: float


class StoreClock(msgspec.Struct, frozen=True, tag=True):
    """Sets the store's clock by ``seconds``, forward or (negative) back."""

    at: float
    seconds: float


class StaleReads(msgspec.Struct, frozen=True, tag=True):
    """Lets a share of the reads of ``table`` not see what other sessions have committed in the last
    moments, for ``seconds``."""

    at: float
    table: Table
    share: float
    seconds: float


class RenewedSessions(msgspec.Struct, frozen=True, tag=True):
    """Gives pods a new session for every call for ``seconds``: their connections are lost. What a
    pod has committed in an earlier session, half of the reads of its claims do not show yet."""

    at: float
    seconds: float


class WaitingInserts(msgspec.Struct, frozen=True, tag=True):
    """Lets INSERTs need the locks of their tables for ``seconds``, so that they wait or are
    rejected."""

    at: float
    seconds: float


class EarlyTimestamps(msgspec.Struct, frozen=True, tag=True):
    """Gives transactions, for ``seconds``, the time before they waited for their locks."""

    at: float
    seconds: float


class LateRepeats(msgspec.Struct, frozen=True, tag=True):
    """Lets every request that is inserted into the mailbox within ``seconds`` be inserted once more
    after ``delay`` seconds, and every checkpoint be saved once more: a connector had sent the
    statement again, and it arrives late."""

    at: float
    seconds: float
    delay: float


class Start(msgspec.Struct, frozen=True):
    """Starts a pod at ``at``; its clock runs ``rate`` times as fast as the store's. ``by_hand``:
    clients claim its steps, under leases. It takes only steps of these ``queues`` and these
    ``task_types``; ``None``: of all."""

    pod_id: str
    at: float = 0.0
    rate: float = 1.0
    by_hand: bool = False
    queues: tuple[str, ...] | None = None
    task_types: tuple[str, ...] | None = None


ProcessFault = Crash | Freeze | DuplicatePod | Stop | Upgrade | ClockJump
PodFault = ProcessFault | TransactionFault | UnreachableStorage
FleetFault = (
    StoreOutage
    | Suspension
    | LongLock
    | StoreClock
    | StaleReads
    | RenewedSessions
    | WaitingInserts
    | EarlyTimestamps
    | LateRepeats
)
Fault = PodFault | FleetFault
Request = (
    Submission
    | Cancellation
    | Replaying
    | Reprioritizing
    | QueueSetting
    | ScheduleSetting
    | SchedulePause
)


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that happens to a fleet from outside; all times are in seconds since the start.

    ``seconds``: when the faults are over. ``name``: of a special scenario. ``most_waiters``: length
    of a lock's queue, shorter than Snowflake's twenty for small fleets, so that their statements
    are rejected, too. ``times`` of Snowflake's statements, and ``clusters`` of its warehouse.
    ``has_alerts``: the leader tells a receiver of alerts.
    ``is_measured``: the fleet has a given size and is measured, and liveness is not checked.
    """

    seed: int
    store: StoreKind
    settings: PodSettings
    seconds: float
    pods: tuple[Start, ...]
    requests: tuple[Request, ...]
    faults: tuple[Fault, ...]
    name: str = ""
    most_waiters: int = MOST_WAITERS
    times: Times = MEASURED
    clusters: int = 1
    has_alerts: bool = False
    is_measured: bool = False

    @property
    def steps(self) -> int:
        """Number of steps that are submitted."""
        return sum(
            len(request.steps) for request in self.requests if isinstance(request, Submission)
        )


def with_changed_steps(scenario: Scenario, change: Callable[[Work], Work]) -> Scenario:
    """The scenario with every step replaced by what ``change`` makes of it, called in order."""
    requests = tuple(
        replace(request, steps=tuple(map(change, request.steps)))
        if isinstance(request, Submission)
        else request
        for request in scenario.requests
    )
    return replace(scenario, requests=requests)
