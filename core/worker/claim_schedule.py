"""When a pod claims steps, how many, and which of them it releases before they begin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from fleet_q.core.capacity import slots
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.retry import MICROS
from fleet_q.core.routing import Routes
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Complete, Fail, Release, Snooze
from fleet_q.core.worker.claim_timing import ClaimTiming
from fleet_q.core.worker.prefetch import PREFETCH_BYTES, Prefetch

MOST_HELD_BYTES: Final = 2 * PREFETCH_BYTES
"""Bytes of payloads and results, approximately, beyond which a pod releases the steps that
wait: they were claimed before the size of the results was known."""

SHORTEST_CLAIM_WAIT: Final = 0.001
"""Seconds that a pod waits at least for a step to become due, so that a small difference between
two clocks does not make it claim in a tight loop."""


class ClaimSchedule:
    """Claims for free slots, and the steps to prefetch beyond them.

    ``slots`` is how many functions may run at once. ``usable`` is smaller while steps of some kind
    cannot begin here. ``held_bytes`` are the bytes of all payloads and results that the pod holds,
    ``running`` the number of steps. Times are seconds on the machine's clock.
    """

    def __init__(
        self, settings: PodSettings, prefetch: Prefetch, routes: Callable[[], Routes]
    ) -> None:
        self.slots = slots(settings.max_parallelism, settings.capacity_threshold)
        self.usable = self.slots
        self._timing = ClaimTiming()
        self._settings = settings
        self._routes = routes
        self._prefetch = prefetch
        self._use_all_at = math.inf
        self._may_prefetch = True

    @property
    def has_backlog(self) -> bool:
        """Whether more steps may be waiting: the last claim was filled."""
        return self._timing.has_backlog

    @property
    def next_claim(self) -> float:
        """When to claim again if nothing happens before."""
        return self._timing.next_claim

    def free(self, running: int) -> int:
        """For how many more steps the pod has slots while it holds ``running``; none if there is no
        step that it may take."""
        return 0 if self._routes().lead_nowhere else max(0, self.usable - running)

    def due(self, running: int, now: float, *, has_outcomes: bool = False) -> int:
        """How many steps to claim for free slots."""
        return self.free(running) if self._timing.is_due(now, has_outcomes=has_outcomes) else 0

    def due_prefetch(self, free: int, running: int, held_bytes: int, now: float) -> int:
        """How many steps to claim with a sync that is due, beyond those for the ``free`` slots."""
        if (
            self._routes().lead_nowhere
            or not self.has_backlog
            or self.usable < self.slots
            or not self._may_prefetch
        ):
            return 0
        ahead = self._prefetch.ahead(now, held_bytes)
        return max(0, self.slots + ahead - running - free)

    def due_withdrawal(self, running: int, held_bytes: int, now: float) -> int | None:
        """How many of the steps that wait to keep, or ``None`` to keep all.

        Steps that will not begin soon are released, because other pods may have time for them. All
        that wait are released while the pod holds too many bytes.
        """
        waiting = running - self.slots
        expected = self._prefetch.expected(now)
        if waiting > 0 and held_bytes > MOST_HELD_BYTES:
            return 0
        return expected if expected is not None and expected < waiting else None

    def on_stuck(self, running: int, now: float) -> None:
        """Steps of some kind cannot begin here. Use only the slots that run, one at least, until a
        recovery interval has passed; each function that ends makes one more usable."""
        self.usable = max(1, running)
        self._use_all_at = now + self._settings.recovery_interval

    def restore_slots(self, now: float) -> None:
        """Use all slots again when the time for it has come."""
        if now >= self._use_all_at:
            self.usable, self._use_all_at = self.slots, math.inf

    def claim_now(self) -> None:
        """Claim with the next plan."""
        self._timing.claim_now()

    def claim_by(self, at: float) -> None:
        """Claim at that time, unless a claim is due earlier."""
        self._timing.claim_by(at)

    def on_synced(
        self, request: SyncRequest, result: SyncResult, now: float, next_claim: float
    ) -> None:
        """Schedule the next claim: at ``next_claim`` if the request claimed, and no later than the
        time at which a step becomes due."""
        if request.claim:
            self.timing_of(request.routes).on_claimed(result, request.claim, now, next_claim)
            # Steps that may not be prefetched are claimed first, as soon as there are free slots.
            self._may_prefetch = not (result.more and request.prefetch)
        elif result.ready:
            self.claim_now()
        elif request.outcomes:
            self.claim_by(now + self._settings.claim_interval)
        delays = [
            outcome.retry_delay
            for outcome in request.outcomes
            if not isinstance(outcome, Complete)  # most are
            and (not outcome.permanent if isinstance(outcome, Fail) else _is_put_off(outcome))
        ]
        if result.next_due is not None:
            delays.append(result.next_due - result.at)
        if delays:
            self.claim_by(now + max(min(delays) / MICROS, SHORTEST_CLAIM_WAIT))

    def timing_of(self, routes: Routes) -> ClaimTiming:
        """When to claim for these routes, which are the pod's."""
        return self._timing


def _is_put_off(outcome: Release | Snooze) -> bool:
    """Whether the step is to be claimed again after the delay of its outcome. One that is released
    without a delay is for other pods."""
    return isinstance(outcome, Snooze) or outcome.retry_delay > 0
