"""The claims of a pod by hand: its callers say how many steps they want."""

from __future__ import annotations

from collections.abc import Callable

from fleet_q.core.routing import Routes
from fleet_q.core.settings import PodSettings
from fleet_q.core.worker.claim_schedule import ClaimSchedule
from fleet_q.core.worker.prefetch import Prefetch


class ClaimsByHand(ClaimSchedule):
    """Claims only the steps that are ``wanted``, and none in advance. The callers hold at most
    ``most``."""

    def __init__(
        self, settings: PodSettings, prefetch: Prefetch, routes: Callable[[], Routes], most: int
    ) -> None:
        super().__init__(settings, prefetch, routes)
        self.slots = self.usable = most
        self.wanted = 0

    def free(self, running: int) -> int:
        return min(self.wanted, super().free(running))

    def due_prefetch(self, free: int, running: int, held_bytes: int, now: float) -> int:
        return 0
