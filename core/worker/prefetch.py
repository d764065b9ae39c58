"""How many steps a pod claims beyond those that run, and how long it relies on a claim.

Steps are prefetched where functions return faster than the store answers, and only as many as
begin within about two turns. All times are seconds on the machine's clock.
"""

from __future__ import annotations

from typing import Final

SHORTEST_HORIZON: Final = 0.15
"""Seconds; on a store that answers within milliseconds, less would be noise of the scheduler."""

HORIZON_TURNS: Final = 3.0
"""Turns; what is prefetched begins within two, and one more keeps an even pace from being taken for
a slower one."""

PREFETCH_BYTES: Final = 8 * 1024 * 1024
"""Characters of payloads and results that a pod holds, about, before it stops prefetching."""

TINY: Final = 1e-6
"""Seconds; a clock that has not moved is no reason to divide by nothing."""


class Prefetch:
    """Counts the steps that end within a horizon, and expects as many to begin within the next.

    The horizon is a few turns long, at most ``longest_horizon`` seconds. At most ``most`` steps
    are prefetched.
    """

    def __init__(self, most: int, longest_horizon: float) -> None:
        self.ended = 0  # functions that have returned, ever
        self._most = most
        self._longest = longest_horizon
        self._turn_took = 0.0
        self._window_at = 0.0  # when the current window began
        self._window_ended = 0  # ``on_incarnation_ended`` at that time
        self._rate_at = 0.0  # when the window before it began, or this one if it is the first
        self._rate_ended = 0
        self._last: int | None = None  # how many ended in the window before
        self._step_size = 0.0

    @property
    def horizon(self) -> float:
        """Seconds within which what is held should begin, and for which a claim that stood is
        taken to stand."""
        return max(SHORTEST_HORIZON, min(HORIZON_TURNS * self._turn_took, self._longest))

    @property
    def next_check(self) -> float:
        """When :meth:`expected` has an answer again."""
        return self._window_at + self.horizon

    def begins(self, now: float) -> None:
        """The first function begins after none ran: the time without one says nothing of how fast
        they are."""
        self._window_at = self._rate_at = now
        self._window_ended = self._rate_ended = self.ended
        self._last = None

    def on_synced(self, took: float, claimed: int, payloads: int, ended: int, results: int) -> None:
        """A turn took that long; it claimed steps with so many bytes of payloads, and acknowledged
        outcomes of so many bytes."""
        self._turn_took = took
        if claimed or ended:
            self._step_size = payloads / max(claimed, 1) + results / max(ended, 1)

    def ahead(self, now: float, held_bytes: int) -> int:
        """How many steps to hold beyond those that run: those that end during two turns, unless
        that would be more than ended within the last horizon, or too many bytes."""
        since = max(now - self._rate_at, self._turn_took, TINY)
        rate = (self.ended - self._rate_ended) / since
        ahead = min(self._most, int(2 * rate * self._turn_took))
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
