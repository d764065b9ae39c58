"""Who leads: the oldest live pod. Every pod finds the same answer in the same table."""

from __future__ import annotations

from collections.abc import Iterable

from fleet_q.core.lifecycle import POD
from fleet_q.core.pod import Pod


def live_pods(pods: Iterable[Pod], at: int, dead_after: int) -> list[Pod]:
    """The pods that live at store time ``at``, oldest first, then by id."""
    return sorted(
        (pod for pod in pods if pod.is_live(at, dead_after)),
        key=lambda pod: (pod.birth_ts, pod.pod_id),
    )


def leader(pods: Iterable[Pod], at: int, dead_after: int) -> Pod | None:
    """The oldest live pod that is not draining, one that is awake before any that sleeps; ``None``
    if there is none."""
    candidates = (
        pod for pod in pods if pod.status in ("up", "asleep") and pod.is_live(at, dead_after)
    )
    return min(
        candidates, key=lambda pod: (pod.status == "asleep", pod.birth_ts, pod.pod_id), default=None
    )


def is_led(pods: Iterable[Pod], at: int, dead_after: int) -> bool:
    """Whether a live pod is awake to lead the others."""
    return any(pod.status == "up" and pod.is_live(at, dead_after) for pod in pods)


def silent_pods(pods: Iterable[Pod], at: int, dead_after: int) -> list[Pod]:
    """The pods that are silent by the store's clock: not ended, and not heard of for ``dead_after``
    microseconds. Whether they are dead is for :class:`~fleet_q.core.silence.SilenceTracker` to
    find out: the clock may have been set, or all pods kept from their heartbeats. One whose status
    only a newer version knows is left to that."""
    return [
        pod
        for pod in pods
        if POD.allows(pod.status, "declared_dead") and not pod.is_live(at, dead_after)
    ]
