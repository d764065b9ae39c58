"""What a leader does besides its own steps: detect dead pods, recover their steps, and prune."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Final

from fleet_q.core import pruning
from fleet_q.core.pod import Pod
from fleet_q.core.retry import backoff
from fleet_q.core.settings import PodSettings
from fleet_q.core.silence import SilenceTracker, longest_gap

RECOVERY_RETRY_BASE: Final = 1.0
"""Seconds until a recovery cycle begins again at most, if the store was unavailable to the first
one; doubled for each further one, up to the recovery interval. A silent pod is declared dead after
much longer, and every try is billed on some stores."""


class LeaderDuties:
    """When a pod begins recovery cycles and prunes, and which pods it declares dead.

    Every pod that is up begins a recovery cycle once a recovery interval; the cycle reads who
    leads, and ends at once in all other pods. ``must_watch``: a pod is missed, and this pod would
    lead, so it has to keep sending heartbeats. Times are seconds on the machine's clock. ``chance``
    draws numbers in [0, 1).
    """

    def __init__(self, pod_id: str, settings: PodSettings, chance: Callable[[], float]) -> None:
        dead_after = settings.dead_pod_threshold
        gap = longest_gap(settings.heartbeat_interval, dead_after)
        self.silence = SilenceTracker(dead_after, gap)
        self.must_watch = False
        self.next_recovery = -math.inf
        self.trouble: str | None = None
        """The error that ended the last recovery cycle to which the store was available."""
        self._pod_id = pod_id
        self._settings = settings
        self._chance = chance
        self._failures = 0  # recovery cycles in a row to which the store was unavailable
        self._next_prune = -math.inf

    def observe(self, pods: Iterable[Pod], now: float) -> None:
        """Record the rows of all pods, as they were read at ``now``."""
        self.silence.on_pods(pods, now)
        self.must_watch = self.silence.should_watch(self._pod_id, now)

    def silent(self, now: float) -> list[Pod]:
        """The pods to declare dead, given the rows that were observed last. The next recovery cycle
        begins when another pod would have been silent for long enough."""
        self.next_recovery = min(self.next_recovery, self.silence.next_due(now))
        return self.silence.silent()

    def begin_recovery(self, now: float) -> bool:
        """Schedule the recovery cycle after the one that begins now.

        True if a heartbeat has to be sent first: there is a pod to declare dead, and a heartbeat
        that gets through proves that it could have sent one, too.
        """
        self.next_recovery = now + self._settings.recovery_interval
        return self.silence.should_watch(self._pod_id, now) and self.silence.is_any_due(now)

    def on_recovery_ended(self, now: float, trouble: str | None, *, was_unavailable: bool) -> None:
        """A recovery cycle has ended, by the error ``trouble`` unless that is ``None``. If the
        store was unavailable to it, the next one begins soon."""
        self._failures = self._failures + 1 if was_unavailable else 0
        if not was_unavailable:
            self.trouble = trouble
        else:
            cap = self._settings.recovery_interval
            wait = backoff(self._failures, RECOVERY_RETRY_BASE, cap, self._chance())
            self.next_recovery = min(self.next_recovery, now + wait)

    def on_prune_ended(self, *, was_unavailable: bool) -> None:
        """A prune has ended. If the store was unavailable to it, one is due with the next recovery
        cycle."""
        if was_unavailable:
            self._next_prune = -math.inf

    def due_prune(self, now: float) -> bool:
        """Whether a prune is due, given that a recovery cycle begins now. Prunes follow recovery
        cycles only, so no pod wakes to prune."""
        prune_after = self._settings.prune_after
        if prune_after is None or now < self._next_prune:
            return False
        self._next_prune = now + pruning.interval(prune_after)
        return True
