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

LONGEST_FAILURE: Final = 0.1
"""The part of ``store_give_up_after`` that the time between two failures counts for at most: a
process that was suspended meanwhile did not try the store."""

UNKNOWN_TRIES: Final = 10
"""Unknown errors, without a success, after which a request counts as refused. A lock that others
hold fails a try only every half minute, so ten tries outlast it; a value that the store cannot take
fails ten tries within half a minute."""


class StoreBackoff:
    """Counts failures in a row; the store is not asked before ``retry_at`` (seconds on the
    machine's clock). ``chance`` draws numbers in [0, 1).

    All failures count towards giving up, because the errors of an outage and those of a pod in
    trouble of its own cannot be told apart.
    """

    def __init__(self, settings: PodSettings, chance: Callable[[], float]) -> None:
        self.retry_at = -math.inf
        self.failing_for = 0.0
        """Seconds for which the store has carried out nothing."""
        self._heartbeat_interval = settings.heartbeat_interval
        self._give_up_after = settings.store_give_up_after
        self._chance = chance
        self._failures = 0
        self._failed_at = math.inf
        self._unknown = 0  # unknown errors since the last success or refusal

    @property
    def should_give_up(self) -> bool:
        """Whether the store has carried out nothing for ``store_give_up_after``."""
        return self.failing_for >= self._give_up_after

    def on_answer(self) -> None:
        """The store has carried out a call."""
        self._failures = self._unknown = 0
        self.failing_for, self._failed_at = 0.0, math.inf

    def is_refusal(self) -> bool:
        """The store has reported an unknown error. True if it did so often enough that the error
        counts as a refusal of the request."""
        self._unknown += 1
        if self._unknown < UNKNOWN_TRIES:
            return False
        self._unknown = 0
        return True

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
        since_last = max(0.0, now - self._failed_at)
        self.failing_for += min(since_last, LONGEST_FAILURE * self._give_up_after)
        self._failed_at = now
        self.retry_at = now + seconds
        return seconds
