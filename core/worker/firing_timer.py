"""When a pod fires schedules: the leader in time, others that sleep if nobody has."""

from __future__ import annotations

import math
from collections.abc import Callable

from fleet_q.core.retry import MICROS
from fleet_q.core.settings import PodSettings
from fleet_q.core.worker.idle import longest_sleep_poll
from fleet_q.core.worker.membership import Phase


class FiringTimer:
    """Knows when the next schedule is to be looked at, from the results of claims and the reads of
    pods. A fleet without schedules never looks at them.

    ``leads``: the pod was the leader when it read the pods last. Others that are awake leave it to
    the leader: they would become it. Those that sleep do not read who leads, so they look after the
    time in which they would have noticed the change, at a time that ``chance``, a number in [0, 1),
    spreads. Times are seconds on the machine's clock.
    """

    def __init__(self, settings: PodSettings, chance: Callable[[], float]) -> None:
        self.leads = False
        self.must_declare = False
        """Whether the pod has to put the schedules of its code, once it has joined."""
        self._settings = settings
        self._chance = chance
        self._patience: float | None = None
        self._next_firing: int | None = None
        self._at = math.inf
        self._retry_at = -math.inf

    def observe(self, next_firing: int | None, at: int, now: float) -> None:
        """The next schedule is to be looked at ``next_firing``; the store's time was ``at``."""
        if next_firing is None:
            self._at = math.inf
        else:
            if self._patience is None:
                spread = self._chance() * self._settings.dead_pod_threshold
                self._patience = longest_sleep_poll(self._settings) + spread
            time = now + max(0, next_firing - at) / MICROS
            is_known = next_firing == self._next_firing
            self._at = min(self._at, time) if is_known else time
        self._next_firing = next_firing

    def due_at(self, phase: Phase) -> float:
        """When to fire; infinity if another pod will."""
        if phase == "up" and self.must_declare:
            return self._retry_at
        if phase not in ("up", "asleep") or not (self.leads or phase == "asleep"):
            return math.inf
        patience = 0 if self.leads else self._patience or 0
        return max(self._at + patience, self._retry_at)

    def on_begun(self) -> None:
        """The pod fires now."""
        self._at = math.inf
        self._next_firing = None
        self.must_declare = False

    def on_failed(self, now: float) -> None:
        """Some schedule could not fire: try again after a recovery interval."""
        self._retry_at = self._at = now + self._settings.recovery_interval
