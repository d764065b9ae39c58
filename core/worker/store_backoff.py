"""How long a pod waits before it syncs again with a store that did not answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from fleet_q.core.retry import backoff
from fleet_q.core.settings import PodSettings

STORE_RETRY_BASE: Final = 0.05
STORE_RETRY_CAP: Final = 5.0
"""Seconds between tries of a store that did not answer: the quickstart's backoff (50 ms, doubled
each time), at most 5 s and at most half a heartbeat interval, so that heartbeats arrive soon after
the store is back."""

LONGEST_CONTENDED: Final = 10.0
"""Seconds to wait at most when too many pods already wait for a lock. With a longer wait, a pod
that was rejected often would be overtaken by all that come later."""

LONGEST_WATCHING: Final = 2.0
"""The same for the one pod that has to declare others dead. One of its heartbeats has to get
through every half dead-pod threshold, and it may have to wait for a lock itself."""


class StoreBackoff:
    """Counts failures in a row; the store is not asked before ``retry_at`` (seconds on the
    machine's clock). ``chance`` draws numbers in [0, 1)."""

    def __init__(self, settings: PodSettings, chance: Callable[[], float]) -> None:
        self.retry_at = -math.inf
        self._heartbeat_interval = settings.heartbeat_interval
        self._chance = chance
        self._failures = 0

    def on_answer(self) -> None:
        """The store has answered."""
        self._failures = 0

    def on_unavailable(self, now: float) -> float:
        """The store did not answer; the seconds to wait."""
        self._failures += 1
        cap = min(STORE_RETRY_CAP, self._heartbeat_interval / 2)
        return self._wait(now, backoff(self._failures, STORE_RETRY_BASE, cap, self._chance()))

    def on_contended(
        self, now: float, queue_duration: float, *, must_watch: bool, drain_until: float | None
    ) -> float:
        """Too many pods wait for a lock; the seconds to wait.

        ``queue_duration`` is how long the queue takes, in seconds. A draining pod comes several
        times before ``drain_until``, so that its outcomes are recorded.
        """
        self._failures += 1
        longest = LONGEST_WATCHING if must_watch else math.inf
        queue = min(LONGEST_CONTENDED, queue_duration, self._heartbeat_interval, longest)
        wait = queue * self._chance()
        if drain_until is not None:
            wait = max(min(wait, (drain_until - now) / 4), STORE_RETRY_BASE)
        return self._wait(now, wait)

    def _wait(self, now: float, seconds: float) -> float:
        self.retry_at = now + seconds
        return seconds
