"""What the log has told of steps and pods so far, and what follows from it.

Written from the promises, not from the core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from fleet_q.core.settings import PodSettings
from fleet_q.services.simulation.pending import Queue
from fleet_q.services.simulation.violation import Violation

SLACK: Final = 1.25
"""How much longer than an interval by the store's clock one by a drifting pod's clock may be."""


def longest_gap(settings: PodSettings) -> float:
    """Seconds for which nobody may be heard of, at most, without the leader having to notice. By a
    clock that runs slow, a leader notices it after a tenth more than it should."""
    return 1.15 * max(settings.heartbeat_interval * 1.5, settings.dead_pod_threshold / 2)


class HeldClaim(msgspec.Struct):
    """A claim as the log tells it."""

    token: str
    pod_id: str
    incarnation: str


class StepRecord(msgspec.Struct):
    """What the log has told of a step so far."""

    priority: int
    max_retries: int
    created: int
    available: int
    version: int = 0
    at: int = 0
    changed: int = 0  # by the true time, the others by the store's clock
    status: str = "pending"
    tries: int = 0
    held: HeldClaim | None = None
    completed: bool = False
    crashes: int = 0  # processes that it took down since it was last given all its tries
    pruned: bool = False


class PodRecord(msgspec.Struct):
    """What the log has told of a pod so far."""

    version: int = 0
    at: int = 0
    birth: int = 0
    last_heartbeat: int = 0
    changed: int = 0  # these two are by the true time, all others by the store's clock
    heartbeat_seen_at: int = 0
    status: str = "down"
    incarnation: str = ""


class Records:
    """The records of all steps and pods. ``now`` is the true time, in microseconds; a pod that has
    not been heard of for ``dead_after`` microseconds may be declared dead."""

    def __init__(self, dead_after: int, now: Callable[[], int]) -> None:
        self.now = now
        self.dead_after = dead_after
        self.steps: dict[str, StepRecord] = {}
        self.pods: dict[str, PodRecord] = {}
        self.duplicated: set[str] = set()  # pods under whose id two processes lived at once
        self.unfinished = 0
        self.clock_set_at = 0  # by the true time: when the store's clock was set last
        self.holding: Counter[str] = Counter()  # steps, by incarnation
        self.queue = Queue(self.steps)

    def leader(self, at: int) -> str | None:
        """Who leads at ``at``."""
        alive = [
            (pod.status == "asleep", pod.birth, pod_id)
            for pod_id, pod in self.pods.items()
            if pod.status == "asleep"
            or (pod.status == "up" and abs(at - pod.last_heartbeat) < self.dead_after)
        ]
        return min(alive)[2] if alive else None

    def leaderless_since(self) -> int:
        """Since when, by the true time, no live pod is awake; in the future if one is."""
        return max(
            (
                pod.heartbeat_seen_at + self.dead_after if pod.status == "up" else pod.changed
                for pod in self.pods.values()
            ),
            default=self.now(),
        )

    def orphaned_since(self, held: HeldClaim) -> int | None:
        """Since when the incarnation that holds it has ended, or ``None``."""
        return self.pods[held.pod_id].changed if self.has_ended(held) else None

    def silent_since(self, held: HeldClaim) -> int | None:
        """Since when a leader ought to miss the pod that holds it, or ``None``."""
        pod = self.pods[held.pod_id]
        silent = pod.heartbeat_seen_at + self.dead_after
        return None if pod.status == "asleep" or silent > self.now() else silent

    def has_ended(self, held: HeldClaim) -> bool:
        """Whether the incarnation that holds it has."""
        pod = self.pods[held.pod_id]
        return pod.status == "down" or pod.incarnation != held.incarnation

    def is_last_try(self, step_id: str) -> bool:
        """Whether the step fails for good if its pod dies."""
        record = self.steps[step_id]
        return record.tries >= record.max_retries


def require(holds: bool, promise: str, subject: str, how: str, *values: object) -> None:
    """Raise :class:`Violation` unless it holds."""
    if not holds:
        raise Violation(promise, subject, how.format(*values))
