"""What must hold of every change of a pod."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from fleet_q.core import events as ev
from fleet_q.core.events import PodEvent
from fleet_q.core.pod import Pod
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.records import PodRecord, Records, require


class PodChecks:
    """Incarnations, silence and sleep. ``silence``: how long an actor has heard nothing of a pod
    that was heard of at such a time."""

    def __init__(self, records: Records, silence: Callable[[Actor, int], int]) -> None:
        self._records = records
        self._silence = silence
        self._ended: dict[str, set[str]] = defaultdict(set)  # incarnations, by pod

    def pruned(self, pod_id: str) -> None:
        """Nobody knows of its incarnations any more."""
        self._ended.pop(pod_id, None)

    def changed(self, event: PodEvent | None, row: Pod, actor: Actor) -> None:
        """Judge an event, or a heartbeat (``None``), and the row that it made. Raises
        :class:`Violation`."""
        pod_id = row.pod_id
        pod = self._records.pods.setdefault(pod_id, PodRecord())
        at = row.last_heartbeat_ts if event is None else event.at
        clock_was_set = pod.changed <= self._records.clock_set_at
        require(clock_was_set or at >= pod.at, "order", pod_id, "happened before what it follows")
        pod.at, pod.changed = at, self._records.now()
        if event is None:
            require(pod.status not in ("down", "asleep") and pod.incarnation == row.incarnation,
                  "the dead stay dead", pod_id, "was heard of after its end")  # fmt: skip
            pod.heartbeat_seen_at, pod.last_heartbeat = self._records.now(), at
        else:
            self._pod_event(event, pod, actor)
        in_row = (row.version, row.status, row.incarnation, row.birth_ts, row.last_heartbeat_ts)
        log = (pod.version, pod.status, pod.incarnation, pod.birth, pod.last_heartbeat)
        require(in_row == log, "tables", pod_id, "has the row {} and the log {}", in_row, log)

    def _pod_event(self, event: PodEvent, pod: PodRecord, actor: Actor) -> None:
        pod_id, fact = event.stream, event.fact
        require(event.version == pod.version + 1, "versions", pod_id,
              "has version {} after {}", event.version, pod.version)  # fmt: skip
        pod.version = event.version
        if not isinstance(fact, ev.Left | ev.DeclaredDead):
            pod.heartbeat_seen_at = self._records.now()
        if isinstance(fact, ev.Joined):
            is_repeated = (
                fact.incarnation in self._ended[pod_id] and pod_id not in self._records.duplicated
            )
            require(not is_repeated, "the dead stay dead", pod_id,
                  "joined as an incarnation that has ended")  # fmt: skip
            pod.incarnation, pod.status, pod.birth = fact.incarnation, "up", event.at
        else:
            require(pod.status != "down" and pod.incarnation == fact.incarnation,
                  "the dead stay dead", pod_id, "{} after its end", fact.type)  # fmt: skip
        match fact:
            case ev.Joined():
                pod.last_heartbeat = event.at
            case ev.Woke():
                pod.last_heartbeat, pod.status = event.at, "up"
            case ev.Slept():
                pod.last_heartbeat, pod.status = event.at, "asleep"
                require(self._records.holding[fact.incarnation] == 0, "nobody is missed", pod_id,
                      "fell asleep while it held steps")  # fmt: skip
            case ev.Draining():
                pod.last_heartbeat, pod.status = event.at, "draining"
            case ev.Left():
                pod.status = "down"
                self._ended[pod_id].add(fact.incarnation)
            case ev.DeclaredDead():
                silence = (
                    -1 if pod.status == "asleep" else self._silence(actor, pod.heartbeat_seen_at)
                )
                require(silence >= self._records.dead_after, "recovery", pod_id,
                      "was declared dead after a silence of {} µs", silence)  # fmt: skip
                pod.status = "down"
                self._ended[pod_id].add(fact.incarnation)
