"""What a pod does about what it reads: the change counter, and the other pods."""

from __future__ import annotations

import math
from collections.abc import Callable

from fleet_q.core.leadership import is_leader, is_led
from fleet_q.core.ports import PodList, StoreTraits
from fleet_q.core.retry import micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.worker.combining import FEW_PODS
from fleet_q.core.worker.pacing import claiming_window
from fleet_q.core.worker.parts import PodParts


class Reads:
    """Claims, wakes and learns of other pods by reads of the store.

    ``sleepers``: how many pods may be asleep together with this one, if they are many; else 0.
    """

    def __init__(
        self,
        parts: PodParts,
        settings: PodSettings,
        chance: Callable[[], float],
        traits: StoreTraits,
    ) -> None:
        self.sleepers = 0
        self._parts = parts
        self._member = parts.member
        self._claims = parts.claims
        self._idle = parts.idle
        self._leading = parts.leading
        self._settings = settings
        self._chance = chance
        self._combines = traits.combines

    def on_change_counter(self, change_counter: int, now: float) -> bool:
        """The change counter, as read at ``now``: claim or wake if it has changed. Returns
        whether it has."""
        self._on_read()
        if not self._idle.has_changed(change_counter, now):
            return False
        is_asleep = self._member.phase == "asleep"
        pods = self.sleepers if is_asleep else self._parts.combining.idle_pods
        drawn = self._idle.wake_at if is_asleep else self._claims.next_claim
        if pods and now < drawn < now + claiming_window(pods):
            return True  # every event is a change: if each drew a new time, all would claim at once
        claim_at = now
        if self._idle.writes_are_billed:
            claim_at = self._parts.pacing.claim_at(now, self._chance, pods=pods)
        if is_asleep:
            self._idle.wake_at = min(self._idle.wake_at, claim_at)
        self._claims.claim_by(claim_at)
        return True

    def on_pods(self, pods: PodList, now: float) -> bool:
        """All pods, as read at ``now``: wake if this pod sleeps and none that is awake leads.
        Returns whether it does."""
        self._on_read()
        self._idle.schedule_leader_check(now)
        self.observe(pods, now)
        dead_after = micros(self._settings.dead_pod_threshold)
        if self._member.phase != "asleep" or is_led(pods.pods, pods.at, dead_after):
            return False
        self._member.phase = "up"
        self._idle.on_awake(now)
        self._idle.stay_awake(now + self._leading.silence.detection_time)
        self._claims.claim_now()
        self._member.next_heartbeat = self._leading.next_recovery = -math.inf
        return True

    def observe(self, pods: PodList, now: float) -> None:
        """Learn who is silent, and how many pods there are, from all pods as read at ``now``."""
        self._leading.observe(pods.pods, now)
        dead_after = micros(self._settings.dead_pod_threshold)
        firing = self._parts.firing
        firing.leads = is_leader(self._member.pod_id, pods.pods, pods.at, dead_after)
        firing.observe(pods.next_firing, pods.at, now)
        statuses = [pod.status for pod in pods.pods]
        combining = self._parts.combining
        combining.pods_awake = statuses.count("up")
        combining.pods = pods_alive = statuses.count("up") + statuses.count("asleep")
        self.sleepers = pods_alive if pods_alive > FEW_PODS else 0
        if self._combines:
            self._member.on_pods(combining.pods_awake, must_watch=self._leading.must_watch)

    def _on_read(self) -> None:
        """The store has answered a query. That counts as a success unless a request is pending:
        some stores answer queries while nothing can be written."""
        if self._parts.requests.pending is None:
            self._parts.backoff.on_answer()
