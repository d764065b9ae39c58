"""Which pods have been silent for the dead-pod threshold, as one pod has observed it itself.

Two wall-clock times say little: the clock may have been set in between, the machine suspended, the
store locked. So silence is measured on the observer's own monotonic clock, and only while the
observer could have heard something: while its own heartbeats got through.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from fleet_q.core.lifecycle import POD
from fleet_q.core.pod import Pod


class SilenceTracker:
    """Measures for how long each pod's row has not changed.

    The observer's own heartbeats prove that a pod could be heard: what keeps all pods from their
    heartbeats (a lock, an outage, a suspended machine) keeps this one from its own. Reads prove
    nothing, for many stores answer them while a writer's lock is held. After more than
    ``longest_gap`` between two heartbeats, the silence of every pod is measured anew.

    ``dead_after`` is in seconds, and so are all times, on the observer's monotonic clock. One
    thread changes the tracker; any thread may call :meth:`silent`.
    """

    def __init__(self, dead_after: float, longest_gap: float) -> None:
        self.detection_time = dead_after + longest_gap
        """Seconds within which a silence is heard, the time until the first heartbeat included."""
        self._dead_after = dead_after
        self._longest_gap = longest_gap
        self._unchanged_since: dict[str, tuple[Pod, float]] = {}  # by pod id
        self._heard_until = -math.inf  # the last heartbeat of the observer's own
        self._hears_since = math.inf  # the first one after the last gap

    def on_heartbeat(self, now: float) -> None:
        """The store has taken a heartbeat of the observer's own."""
        if now - self._heard_until > self._longest_gap:
            self._hears_since = now
        self._heard_until = now

    def on_pods(self, pods: Iterable[Pod], now: float) -> None:
        """The rows of all pods, as they were read at ``now``."""
        before = self._unchanged_since
        self._unchanged_since = {
            pod.pod_id: seen if (seen := before.get(pod.pod_id)) and seen[0] == pod else (pod, now)
            for pod in pods
            if POD.allows(pod.status, "declared_dead")
        }

    def should_watch(self, pod_id: str, now: float) -> bool:
        """Whether a pod is missed, that is, its row has not changed for longer than its next
        heartbeat takes, and the observer, which is ``pod_id``, would lead without those that are
        missed. Soon it may have a pod to declare dead."""
        present: list[tuple[int, str]] = []
        is_any_missed = False
        for pod, since in self._unchanged_since.values():
            if pod.pod_id != pod_id and now - since >= self._longest_gap:
                is_any_missed = True
            elif pod.status == "up":
                present.append((pod.birth_ts, pod.pod_id))
        return is_any_missed and (not present or min(present)[1] == pod_id)

    def silent(self) -> list[Pod]:
        """The pods to declare dead, as they were last seen. The observer's last heartbeat is the
        end of what it has heard; whether a row has changed since is for the store to check."""
        return self._silent_until(self._heard_until)

    def is_any_due(self, now: float) -> bool:
        """Whether a pod is silent if a heartbeat of the observer's own gets through now."""
        return now - self._heard_until <= self._longest_gap and bool(self._silent_until(now))

    def next_due(self, now: float) -> float:
        """When the next pod will have been silent for long enough if nothing is heard of it."""
        due = (
            max(since, self._hears_since) + self._dead_after
            for _, since in self._unchanged_since.values()
        )
        return min((at for at in due if at > now), default=math.inf)

    def _silent_until(self, until: float) -> list[Pod]:
        # ``until`` is read first: if another thread resets the tracker meanwhile, this finds fewer.
        hears_since = self._hears_since
        return [
            pod
            for pod, since in self._unchanged_since.values()
            if until - max(since, hears_since) >= self._dead_after
        ]


def longest_gap(heartbeat_interval: float, dead_after: float) -> float:
    """Seconds between two heartbeats of the observer's own, at most, for its hearing to be without
    a gap. A pod that was kept waiting for as long is then still heard of in time; and a fleet
    whose heartbeats wait for locks, but get through, does lose its dead."""
    return max(1.5 * heartbeat_interval, dead_after / 2)
