"""A pod's phase and incarnation, and which command it sends to its store next."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal

from fleet_q.core.pod import (
    Drain,
    Join,
    Leave,
    PodCommand,
    PodDescription,
    SendHeartbeat,
    Sleep,
)
from fleet_q.core.settings import PodSettings

MOST_HEARTBEATS: Final = 25.0
"""Heartbeats a second that all pods of a fleet send, about. Each takes a slot of a warehouse for
0.4 s, so these take ten."""

LONGEST_INTERVAL_SHARE: Final = 1 / 3
"""The longest interval between two heartbeats, as a share of the dead-pod threshold."""

Phase = Literal["joining", "up", "asleep", "draining", "gone"]


class Membership:
    """One pod's membership in its fleet, from joining to leaving.

    ``new_id`` makes incarnations, ``describe`` what the pod tells when it joins. Times are seconds
    on the machine's clock.
    """

    def __init__(
        self,
        pod_id: str,
        settings: PodSettings,
        new_id: Callable[[], str],
        describe: Callable[[], PodDescription | None] = lambda: None,
    ) -> None:
        self.pod_id = pod_id
        self.incarnation = new_id()
        self.phase: Phase = "joining"
        self.has_joined = False  # the store counts this incarnation as living
        self.has_left = True
        """False if the pod is gone and the store has not confirmed that it left: the store may
        still count it as living."""
        self.is_awake_in_store = False  # the store counts this incarnation as awake
        self.next_heartbeat = -math.inf
        self.drain_until = 0.0
        self._drain_announced = False
        self._heartbeat_interval = settings.heartbeat_interval
        self._settings = settings
        self._new_id = new_id
        self._describe = describe

    def heartbeat(self) -> SendHeartbeat:
        """The heartbeat of this incarnation."""
        return SendHeartbeat(self.pod_id, self.incarnation)

    def due_command(self, now: float, *, may_leave: bool, should_sleep: bool) -> PodCommand | None:
        """The command that is due. ``may_leave``: no step runs, and one sync takes all outcomes
        that are left. ``should_sleep``: the pod has been idle for long enough."""
        if self.phase == "joining":
            description = self._describe()
            text = None if description is None else description.text
            return Join(self.pod_id, self.incarnation, text)
        if not self.has_joined:  # the store takes only outcomes from a pod that has not joined
            return None
        if self.phase == "draining" and may_leave:
            return Leave(self.pod_id, self.incarnation)
        if self.phase == "draining" and not self._drain_announced:
            return Drain(self.pod_id, self.incarnation)
        if should_sleep:
            return Sleep(self.pod_id, self.incarnation)
        return self.heartbeat() if now >= self.next_heartbeat else None

    def early_heartbeat(self, now: float) -> SendHeartbeat | None:
        """A heartbeat to send along with another request, once half of the interval has passed."""
        at = self.next_heartbeat - self._heartbeat_interval / 2
        return self.heartbeat() if self.is_awake_in_store and now >= at else None

    def on_command_done(self, pod_command: PodCommand, recorded_at: float) -> None:
        """Enter the phase that follows from a command that the store has carried out."""
        self.is_awake_in_store = isinstance(pod_command, Join | SendHeartbeat | Drain)
        match pod_command:
            case Join():
                self.has_joined = True
                if self.phase == "joining":
                    self.phase = "up"
            case SendHeartbeat() if self.phase == "asleep":
                self.phase = "up"
            case Drain():
                self._drain_announced = True
            case Leave():
                self.phase = "gone"
            case Sleep() if self.phase == "up":
                self.phase = "asleep"
        self.next_heartbeat = recorded_at + self._heartbeat_interval

    def on_pods(self, awake: int, *, must_watch: bool) -> None:
        """So many pods are awake, which share a warehouse: if they are many, send heartbeats less
        often, unless this pod ``must_watch`` another one."""
        settings = self._settings
        interval = min(
            awake / MOST_HEARTBEATS, LONGEST_INTERVAL_SHARE * settings.dead_pod_threshold
        )
        self._heartbeat_interval = max(settings.heartbeat_interval, 0.0 if must_watch else interval)

    def begin_drain(self, now: float, grace: float) -> None:
        """Drain until ``grace`` seconds from now. A second call can only shorten the time."""
        if self.phase in ("joining", "up", "asleep"):
            self.phase = "draining"
            self.drain_until = now + grace
        else:
            self.drain_until = min(self.drain_until, now + grace)

    def is_drain_over(self, now: float) -> bool:
        """Whether the pod is draining and its grace is over."""
        return self.phase == "draining" and now >= self.drain_until

    def give_up(self, *, has_work: bool) -> None:
        """End although the store does not answer; the leader recovers the pod's steps."""
        self.phase = "gone"
        self.has_left = not self.has_joined and not has_work

    def begin_incarnation(self) -> None:
        """Join as a new incarnation, unless the pod is about to leave."""
        self.has_joined = self.is_awake_in_store = False
        if self.phase in ("up", "asleep"):
            self.phase = "joining"
        self.incarnation = self._new_id()
