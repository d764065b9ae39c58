"""Virtual time: what is going to happen, in order; time that nothing happens in costs nothing."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from fleet_q.core.retry import micros
from fleet_q.services.simulation.violation import Violation

EPOCH: Final = 1_767_225_600_000_000
"""The store's time when a simulation begins, 2026-01-01 in microseconds since 1970."""


INSTANT: Final = 1e-6
MOST_AT_ONCE: Final = 100_000
"""So many events, each less than an instant (in seconds) after the one before it, are a loop."""


class Stopped(Exception):
    """Whoever began it wants to see no more."""


class VirtualClock:
    """Events by their time, in seconds since the simulation began; at one time, first come."""

    def __init__(self) -> None:
        self.now = 0.0
        self.clock_shift = 0  # µs by which the store's clock is wrong
        self.happened = 0
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = count()

    def at(self, when: float, what: Callable[..., object], *args: Any) -> None:
        """Let ``what(*args)`` happen at ``when``, or now if that is past."""
        heapq.heappush(self._events, (max(when, self.now), next(self._order), what, args))

    def after(self, seconds: float, what: Callable[..., object], *args: Any) -> None:
        """The same, ``seconds`` from now."""
        self.at(self.now + seconds, what, *args)

    def every(self, seconds: float, what: Callable[[float], object]) -> None:
        """Tell ``what`` the time, now and then."""
        what(self.now)
        self.after(seconds, self.every, seconds, what)

    def stop(self) -> None:
        """Let nothing more happen."""
        raise Stopped

    def run(self, until: float) -> None:
        """Let everything happen that is due by ``until``."""
        events, spins = self._events, 0
        while events and events[0][0] <= until:
            when, _, what, args = heapq.heappop(events)
            self.happened += 1
            spins = spins + 1 if when - self.now < INSTANT else 0
            if spins > MOST_AT_ONCE:
                raise Violation("time goes on", "the fleet", f"is busy for ever after {self.now} s")
            self.now = when
            what(*args)
        self.now = until

    def time(self) -> int:
        """The time as it is: microseconds since 1970."""
        return EPOCH + micros(self.now)

    def store_time(self) -> int:
        """The clock of the store, which may have been set."""
        return self.time() + self.clock_shift
