"""The claims of a pod by hand: its callers say how many steps they want, and of which routes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

from fleet_q.core.routing import Routes
from fleet_q.core.settings import PodSettings
from fleet_q.core.worker.claim_schedule import ClaimSchedule
from fleet_q.core.worker.claim_timing import ClaimTiming
from fleet_q.core.worker.prefetch import Prefetch

MOST_TIMINGS: Final = 1_000
"""Of how many routes a pod remembers the latest claim. Where writes are billed, a claim is saved if
a caller comes again and nothing has changed since."""


class ClaimsByHand(ClaimSchedule):
    """Claims only the steps that are ``wanted``, by routes, and none in advance. The callers hold
    at most ``most``.

    A request claims for one of the routes, so that no step is claimed that nobody wants. They take
    turns.
    """

    def __init__(
        self, settings: PodSettings, prefetch: Prefetch, routes: Callable[[], Routes], most: int
    ) -> None:
        super().__init__(settings, prefetch, self.turn)
        self.slots = self.usable = most
        self.wanted: Mapping[Routes, int] = {}
        self._served = routes
        self._timings: dict[Routes, ClaimTiming] = {}

    def turn(self) -> Routes:
        """The routes that the next request claims for."""
        if not self.wanted:
            return self._served()
        return min(self.wanted, key=lambda routes: self.timing_of(routes).due_at)

    @property
    def has_backlog(self) -> bool:
        return any(self.timing_of(routes).has_backlog for routes in self.wanted)

    @property
    def next_claim(self) -> float:
        return min((self.timing_of(r).next_claim for r in self.wanted), default=math.inf)

    def free(self, running: int) -> int:
        return min(self.wanted.get(self.turn(), 0), super().free(running))

    def due(self, running: int, now: float, *, has_outcomes: bool = False) -> int:
        for timing in map(self.timing_of, self.wanted):
            if timing.is_held_back and has_outcomes:
                timing.claim_now()
        return self.free(running) if now >= self.timing_of(self.turn()).due_at else 0

    def is_due(self, routes: Routes, running: int, now: float, *, has_outcomes: bool) -> bool:
        """Whether a claim of these routes is due, and there is room for a step."""
        is_due = self.timing_of(routes).is_due(now, has_outcomes=has_outcomes)
        return is_due and super().free(running) > 0

    def due_prefetch(self, free: int, running: int, held_bytes: int, now: float) -> int:
        return 0

    def claim_now(self) -> None:
        for timing in self._timings.values():
            timing.claim_now()

    def claim_by(self, at: float) -> None:
        for timing in self._timings.values():
            timing.claim_by(at)

    def timing_of(self, routes: Routes) -> ClaimTiming:
        """When to claim for these routes."""
        timing = self._timings.get(routes)
        if timing is None:
            if len(self._timings) >= MOST_TIMINGS:
                self._timings = {r: t for r, t in self._timings.items() if r in self.wanted}
            timing = self._timings[routes] = ClaimTiming()
        return timing
