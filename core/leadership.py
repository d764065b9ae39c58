"""Leader election: the oldest live pod leads. All pods compute the same result from one table."""

from __future__ import annotations

from collections.abc import Iterable

from fleet_q.core.lifecycle import POD
from fleet_q.core.pod import Pod, seniority


def live_pods(pods: Iterable[Pod], at: int, dead_after: int) -> list[Pod]:
    """The live pods at store time ``at``, oldest first, then by id."""
    return sorted((pod for pod in pods if pod.is_live(at, dead_after)), key=seniority)


def leader(pods: Iterable[Pod], at: int, dead_after: int) -> Pod | None:
    """The leader: the oldest live pod that is up, or else the oldest that is asleep. ``None`` if
    there is neither."""
    return leads_by_log(pod for pod in pods if pod.is_live(at, dead_after))


def leads_by_log(pods: Iterable[Pod]) -> Pod | None:
    """The leader of pods that were folded from their log, which has no heartbeats: all that are not
    down count as live."""
    candidates = (pod for pod in pods if pod.status in ("up", "asleep"))
    return min(candidates, key=lambda pod: (pod.status == "asleep", seniority(pod)), default=None)


def is_leader(pod_id: str | None, pods: Iterable[Pod], at: int, dead_after: int) -> bool:
    """Whether the pod with this id is the leader."""
    current = leader(pods, at, dead_after)
    return current is not None and current.pod_id == pod_id


def is_led(pods: Iterable[Pod], at: int, dead_after: int) -> bool:
    """Whether any live pod is up, so that the fleet has a leader that is awake."""
    return any(pod.status == "up" and pod.is_live(at, dead_after) for pod in pods)


def silent_pods(pods: Iterable[Pod], at: int, dead_after: int) -> list[Pod]:
    """The pods that may be declared dead and whose last heartbeat is at least ``dead_after``
    microseconds old by the store's clock.

    They are not necessarily dead: the clock may have been changed, or an outage may have stopped
    all heartbeats. :class:`~fleet_q.core.silence.SilenceTracker` decides that. A pod with a status
    that only a newer version knows is ignored.
    """
    return [
        pod
        for pod in pods
        if POD.allows(pod.status, "declared_dead") and not pod.is_live(at, dead_after)
    ]
