"""Records of steps and pods, derived from the log independently of the core."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.pod import Pod
from fleet_q.core.settings import PodSettings
from fleet_q.services.simulation.pending import Queue
from fleet_q.services.simulation.violation import Violation

SLACK: Final = 1.25
"""Factor by which an interval on a drifting pod's clock may exceed one on the store's clock."""


def longest_gap(settings: PodSettings) -> float:
    """Seconds without any heartbeat that a leader may leave unnoticed: the limit of
    ``SilenceTracker``, plus 15 % for a clock that runs slow."""
    return 1.15 * max(settings.heartbeat_interval * 1.5, settings.dead_pod_threshold / 2)


class HeldClaim(msgspec.Struct):
    """A claim according to the log."""

    token: str
    pod_id: str
    incarnation: str


class StepRecord(msgspec.Struct):
    """A step according to the log; times are microseconds of the store's clock."""

    priority: int
    max_retries: int
    created: int
    available: int
    version: int = 0
    at: int = 0
    changed: int = 0  # true time
    status: str = "pending"
    tries: int = 0
    held: HeldClaim | None = None
    completed: bool = False
    crashes: int = 0  # processes that it has killed since its submission or replay
    checkpoint: int = 0  # the number that was saved last
    acknowledged: int = 0  # the highest number of a save that was answered
    pruned: bool = False
    queue: str = DEFAULT_QUEUE
    key: str | None = None
    task_type: str = ""
    unique_key: str | None = None
    unique_until: int | None = None
    parents: dict[str, str] = {}
    start_by: int | None = None
    snoozes: int = 0

    @property
    def must_begin_by(self) -> int | None:
        """Until when its function must begin; ``None``: any time, or it has begun before."""
        return None if self.tries or self.snoozes else self.start_by


class PodRecord(msgspec.Struct):
    """A pod according to the log; times are microseconds of the store's clock."""

    version: int = 0
    at: int = 0
    birth: int = 0
    last_heartbeat: int = 0
    changed: int = 0  # true time
    heartbeat_seen_at: int = 0  # true time
    status: str = "down"
    incarnation: str = ""


class Records:
    """The records of all steps and pods. ``now``: returns the true time in microseconds;
    ``dead_after``: the dead-pod threshold in microseconds."""

    def __init__(self, dead_after: int, now: Callable[[], int]) -> None:
        self.now = now
        self.dead_after = dead_after
        self.steps: dict[str, StepRecord] = {}
        self.pods: dict[str, PodRecord] = {}
        self.duplicated: set[str] = set()  # ids under which two processes were alive at once
        self.unfinished = 0
        self.clock_set_at = 0  # true time at which the store's clock was last set
        self.reads_are_stale = False  # some reads may be
        self.early_by = 0  # µs by which the time of the latest commit precedes it
        self.holding: Counter[str] = Counter()  # number of claimed steps, by incarnation
        self.queue = Queue(self.steps)

    def leader(self, at: int, rows: Sequence[Pod] | None = None) -> str | None:
        """The leader at ``at``, or ``None``; by the log, or by ``rows`` that were read."""
        if rows is None:
            pods = [(i, p.status, p.birth, p.last_heartbeat) for i, p in self.pods.items()]
        else:
            pods = [(p.pod_id, p.status, p.birth_ts, p.last_heartbeat_ts) for p in rows]
        alive = [
            (status == "asleep", birth, pod_id)
            for pod_id, status, birth, last_heartbeat in pods
            if status == "asleep" or (status == "up" and abs(at - last_heartbeat) < self.dead_after)
        ]
        return min(alive)[2] if alive else None

    def leaderless_since(self) -> int:
        """True time since which no live pod is awake; in the future if one is."""
        return max(
            (
                pod.heartbeat_seen_at + self.dead_after if pod.status == "up" else pod.changed
                for pod in self.pods.values()
            ),
            default=self.now(),
        )

    def orphaned_since(self, held: HeldClaim) -> int | None:
        """True time at which the incarnation that holds the step ended, or ``None``."""
        return self.pods[held.pod_id].changed if self.has_ended(held) else None

    def silent_since(self, held: HeldClaim) -> int | None:
        """True time since which the pod that holds the step may be declared dead, or ``None``."""
        pod = self.pods[held.pod_id]
        silent = pod.heartbeat_seen_at + self.dead_after
        return None if pod.status == "asleep" or silent > self.now() else silent

    def has_ended(self, held: HeldClaim) -> bool:
        """Whether the incarnation that holds the step has ended."""
        pod = self.pods[held.pod_id]
        return pod.status == "down" or pod.incarnation != held.incarnation

    def is_last_try(self, step_id: str) -> bool:
        """Whether the step fails for good if its pod dies."""
        record = self.steps[step_id]
        return record.tries >= record.max_retries


def require(holds: bool, promise: str, subject: str, how: str, *values: object) -> None:
    """Raise :class:`Violation` unless ``holds``. ``values`` are formatted into ``how``."""
    if not holds:
        raise Violation(promise, subject, how.format(*values))
