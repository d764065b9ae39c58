"""Checks of every change of a pod."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from fleet_q.core import events as ev
from fleet_q.core.events import PodEvent
from fleet_q.core.pod import Pod
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.records import PodRecord, Records, require


class PodChecks:
    """Checks versions, incarnations, silence and sleep. ``silence(actor, since)``: microseconds for
    which the actor has waited for a heartbeat of a pod whose last one was at ``since``."""

    def __init__(self, records: Records, silence: Callable[[Actor, int], int]) -> None:
        self._records = records
        self._silence = silence
        self._ended: dict[str, set[str]] = defaultdict(set)  # incarnations, by pod
        self._posted_joins: dict[str, list[str]] = defaultdict(list)  # the same, in order

    def posted_join(self, pod_id: str, incarnation: str) -> None:
        """Note that a join was posted to the mailbox."""
        if incarnation not in self._posted_joins[pod_id]:
            self._posted_joins[pod_id].append(incarnation)

    def pruned(self, pod_id: str) -> None:
        """Forget the incarnations of a pod that was pruned."""
        self._ended.pop(pod_id, None)

    def changed(self, event: PodEvent | None, row: Pod, actor: Actor) -> None:
        """Check an event, or a heartbeat (``None``), and the resulting row. Raises
        :class:`Violation`."""
        pod_id = row.pod_id
        pod = self._records.pods.setdefault(pod_id, PodRecord())
        at = row.last_heartbeat_ts if event is None else event.at
        clock_was_set = pod.changed <= self._records.clock_set_at
        require(
            clock_was_set or at + self._records.early_by >= pod.at,
            "order",
            pod_id,
            "has an event older than the previous one",
        )
        pod.at, pod.changed = at, self._records.now()
        if event is None:
            require(
                pod.status not in ("down", "asleep") and pod.incarnation == row.incarnation,
                "ended incarnations stay ended",
                pod_id,
                "sent a heartbeat after its end",
            )
            pod.heartbeat_seen_at, pod.last_heartbeat = self._records.now(), at
        else:
            self._pod_event(event, pod, actor)
        in_row = (row.version, row.status, row.incarnation, row.birth_ts, row.last_heartbeat_ts)
        log = (pod.version, pod.status, pod.incarnation, pod.birth, pod.last_heartbeat)
        require(in_row == log, "tables", pod_id, "has the row {}, but the log says {}", in_row, log)

    def _pod_event(self, event: PodEvent, pod: PodRecord, actor: Actor) -> None:
        pod_id, fact = event.stream, event.fact
        require(
            event.version == pod.version + 1,
            "versions",
            pod_id,
            "has version {} after {}",
            event.version,
            pod.version,
        )
        pod.version = event.version
        if not isinstance(fact, ev.Left | ev.DeclaredDead):
            pod.heartbeat_seen_at = self._records.now()
        if isinstance(fact, ev.Joined):
            is_repeated = (
                fact.incarnation in self._ended[pod_id] and pod_id not in self._records.duplicated
            )
            require(
                not is_repeated,
                "ended incarnations stay ended",
                pod_id,
                "joined as an incarnation that has ended",
            )
            order = self._posted_joins[pod_id]
            require(
                pod.incarnation not in order
                or order.index(fact.incarnation) > order.index(pod.incarnation),
                "the last process joins last",
                pod_id,
                "joined after a process that had posted its join later",
            )
            pod.incarnation, pod.status, pod.birth = fact.incarnation, "up", event.at
        else:
            require(
                pod.status != "down" and pod.incarnation == fact.incarnation,
                "ended incarnations stay ended",
                pod_id,
                "{} after its end",
                fact.type,
            )
        match fact:
            case ev.Joined():
                pod.last_heartbeat = event.at
            case ev.Woke():
                pod.last_heartbeat, pod.status = event.at, "up"
            case ev.Slept():
                pod.last_heartbeat, pod.status = event.at, "asleep"
                require(
                    self._records.holding[fact.incarnation] == 0,
                    "no sleeping pod holds steps",
                    pod_id,
                    "fell asleep while it held steps",
                )
            case ev.Draining():
                pod.last_heartbeat, pod.status = event.at, "draining"
            case ev.Left():
                pod.status = "down"
                self._ended[pod_id].add(fact.incarnation)
            case ev.DeclaredDead():
                silence = (
                    -1 if pod.status == "asleep" else self._silence(actor, pod.heartbeat_seen_at)
                )
                require(
                    silence >= self._records.dead_after,
                    "recovery",
                    pod_id,
                    "was declared dead after a silence of {} µs",
                    silence,
                )
                pod.status = "down"
                self._ended[pod_id].add(fact.incarnation)
