"""How many steps a pod claims beyond those that run, and how long it relies on a claim.

A pod prefetches where functions return faster than the store answers, and only as many steps as
begin within about two syncs. All times are seconds on the machine's clock.
"""

from __future__ import annotations

import math
from typing import Final

SHORTEST_HORIZON: Final = 0.15
"""Seconds; a store that answers within milliseconds would give a horizon so short that jitter of
the operating system's scheduler dominates what is counted in it."""

HORIZON_SYNCS: Final = 3.0
"""The horizon in syncs. Prefetched steps begin within two; the third tolerates a steady rate that
looks slower for a moment."""

LONGEST_HORIZON: Final = 3.0
"""The longest horizon in claim intervals, where syncs take that long."""

PREFETCH_BYTES: Final = 8 * 1024 * 1024
"""Bytes of payloads and results, approximately, that a pod holds before it stops
prefetching."""

SHORTEST_PERIOD: Final = 1e-6
"""Seconds; the shortest period to compute a rate from, in case the clock has not advanced."""


class Prefetch:
    """Counts the steps that end within a horizon, and expects as many to begin within the next.

    The horizon is a few syncs long, at most ``longest_horizon`` seconds. At most ``most`` steps
    are prefetched. ``ended`` counts all functions that have ended since the pod began.
    """

    def __init__(self, most: int, longest_horizon: float) -> None:
        self.ended = 0
        self._most = most
        self._longest = longest_horizon
        self._sync_took = 0.0
        self._window_at = 0.0  # when the current window began
        self._window_ended = 0  # ``ended`` at that time
        self._rate_at = 0.0  # when the window before it began, or this one if it is the first
        self._rate_ended = 0
        self._last: int | None = None  # how many ended in the window before
        self._step_size = 0.0

    @property
    def horizon(self) -> float:
        """Seconds within which held steps should begin."""
        horizon = min(HORIZON_SYNCS * self._sync_took, LONGEST_HORIZON * self._longest)
        return max(SHORTEST_HORIZON, horizon)

    @property
    def reliance(self) -> float:
        """Seconds for which the pod relies on a claim that stood."""
        return min(self.horizon, max(self._longest, SHORTEST_HORIZON))

    @property
    def next_check(self) -> float:
        """When :meth:`expected` returns a number again."""
        return self._window_at + self.horizon

    def on_first_claimed(self, now: float) -> None:
        """The pod holds steps after it held none. Restart both windows: the time without steps
        says nothing about how fast they end."""
        self._window_at = self._rate_at = now
        self._window_ended = self._rate_ended = self.ended
        self._last = None

    def on_synced(
        self, took: float, *, claimed: int, payload_size: int, recorded: int, result_size: int
    ) -> None:
        """A sync took that many seconds. It claimed steps, with so many bytes of payloads, and
        recorded outcomes, of so many bytes."""
        self._sync_took = took
        if claimed or recorded:
            self._step_size = payload_size / max(claimed, 1) + result_size / max(recorded, 1)

    def ahead(self, now: float, held_bytes: int) -> int:
        """How many steps to hold beyond those that run: as many as end during two syncs, but no
        more than ended within the last horizon, nor than fit into :data:`PREFETCH_BYTES`."""
        since = max(now - self._rate_at, self._sync_took, SHORTEST_PERIOD)
        rate = (self.ended - self._rate_ended) / since
        ahead = min(self._most, math.ceil(2 * rate * self._sync_took))
        if self._last is not None:
            ahead = min(ahead, self._last)
        room = max(0, PREFETCH_BYTES - held_bytes)
        return ahead if ahead * self._step_size <= room else int(room / self._step_size)

    def expected(self, now: float) -> int | None:
        """Once a horizon, how many steps to expect to begin within the next; else ``None``."""
        elapsed = now - self._window_at
        horizon = self.horizon
        if elapsed < horizon:
            return None
        self._last = int((self.ended - self._window_ended) * horizon / elapsed)
        self._rate_at, self._rate_ended = self._window_at, self._window_ended
        self._window_at, self._window_ended = now, self.ended
        return self._last
