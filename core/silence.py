"""Detection of dead pods: for how long one pod, the observer, has seen no heartbeat of another.

Comparing two wall-clock times is not enough: the clock may have been changed, the machine suspended
or the store locked in between. So silence is measured on the observer's monotonic clock, and only
while heartbeats could get through: while the observer's own did.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from fleet_q.core.lifecycle import POD
from fleet_q.core.pod import Pod, seniority


class SilenceTracker:
    """Measures for how long each pod's row has not changed.

    The observer's own heartbeats prove that other pods could send theirs: whatever stops all
    heartbeats (a lock, an outage, a suspended machine) stops the observer's, too. Reads prove
    nothing, because many stores answer them while a writer's lock is held. If more than
    ``longest_gap`` passes between two heartbeats of the observer, the measurement restarts for
    every pod.

    All times and durations are in seconds, times on the observer's monotonic clock. One thread
    updates the tracker; any thread may call :meth:`silent`.
    """

    def __init__(self, dead_after: float, longest_gap: float) -> None:
        self.detection_time = dead_after + longest_gap
        """Seconds within which a dead pod is detected, time to the first heartbeat included."""
        self._dead_after = dead_after
        self._longest_gap = longest_gap
        self._unchanged_since: dict[str, tuple[Pod, float]] = {}  # by pod id
        self._last_heartbeat = -math.inf  # of the observer
        self._first_heartbeat = math.inf  # of the observer, after the last gap

    def on_heartbeat(self, now: float) -> None:
        """The store has recorded a heartbeat of the observer."""
        if now - self._last_heartbeat > self._longest_gap:
            self._first_heartbeat = now
        self._last_heartbeat = now

    def on_pods(self, pods: Iterable[Pod], now: float) -> None:
        """The rows of all pods were read at ``now``."""
        before = self._unchanged_since
        self._unchanged_since = {
            pod.pod_id: last if (last := before.get(pod.pod_id)) and last[0] == pod else (pod, now)
            for pod in pods
            if POD.allows(pod.status, "declared_dead")
        }

    def should_watch(self, pod_id: str, now: float) -> bool:
        """Whether the observer ``pod_id`` should read the pods often, because it may soon have to
        declare one dead: some pod is overdue (its row has not changed for ``longest_gap``), and
        the observer is the oldest of the pods that are up and not overdue."""
        candidates: list[Pod] = []
        is_any_overdue = False
        for pod, since in self._unchanged_since.values():
            if pod.pod_id != pod_id and now - since >= self._longest_gap:
                is_any_overdue = True
            elif pod.status == "up":
                candidates.append(pod)
        oldest = min(candidates, key=seniority, default=None)
        return is_any_overdue and (oldest is None or oldest.pod_id == pod_id)

    def silent(self) -> list[Pod]:
        """The pods to declare dead, as they were last read. Silence is measured up to the last
        heartbeat of the observer; the store checks that the rows have not changed since."""
        return self._silent_until(self._last_heartbeat)

    def is_any_due(self, now: float) -> bool:
        """Whether some pod would be silent if the observer sent a heartbeat at ``now``."""
        return now - self._last_heartbeat <= self._longest_gap and bool(self._silent_until(now))

    def next_due(self, now: float) -> float:
        """When the next pod will be silent unless its row changes; infinity if there is none."""
        due = (
            max(since, self._first_heartbeat) + self._dead_after
            for _, since in self._unchanged_since.values()
        )
        return min((at for at in due if at > now), default=math.inf)

    def _silent_until(self, until: float) -> list[Pod]:
        # The caller reads ``until`` first: if another thread restarts the measurement in between,
        # this returns fewer pods.
        first_heartbeat = self._first_heartbeat
        return [
            pod
            for pod, since in self._unchanged_since.values()
            if until - max(since, first_heartbeat) >= self._dead_after
        ]


def longest_gap(heartbeat_interval: float, dead_after: float) -> float:
    """The longest time in seconds between two heartbeats of the observer that does not restart the
    measurement.

    It tolerates late heartbeats, so dead pods are detected although the heartbeats of the fleet
    wait for locks. A pod that was delayed for as long is still seen within ``dead_after``.
    """
    return max(1.5 * heartbeat_interval, dead_after / 2)
