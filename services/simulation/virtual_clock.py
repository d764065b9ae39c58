"""The virtual clock: an event queue that advances time from one event to the next."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from fleet_q.core.retry import micros
from fleet_q.services.simulation.violation import Violation

EPOCH: Final = 1_767_225_600_000_000
"""The store's time when a simulation begins: 2026-01-01, in microseconds since 1970."""

INSTANT: Final = 1e-6
"""Seconds. Time stands still while each event is less than this after the previous one."""

MAX_EVENTS_AT_ONCE: Final = 100_000
"""Consecutive events while time stands still; more are an endless loop."""


class Stopped(Exception):
    """The caller has stopped the simulation."""


class VirtualClock:
    """Runs scheduled callbacks by time, in seconds since the start; at the same time, in the order
    in which they were scheduled."""

    def __init__(self) -> None:
        self.now = 0.0
        self.clock_shift = 0  # µs by which the store's clock is wrong
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = count()

    def at(self, time: float, callback: Callable[..., object], *args: Any) -> None:
        """Schedule ``callback(*args)`` for ``time``, or for now if that is past."""
        heapq.heappush(self._events, (max(time, self.now), next(self._order), callback, args))

    def after(self, seconds: float, callback: Callable[..., object], *args: Any) -> None:
        """Schedule ``callback(*args)`` for ``seconds`` from now."""
        self.at(self.now + seconds, callback, *args)

    def every(self, seconds: float, callback: Callable[[float], object]) -> None:
        """Call ``callback`` with the time, now and every ``seconds`` from now on."""
        callback(self.now)
        self.after(seconds, self.every, seconds, callback)

    def stop(self) -> None:
        """End the simulation. Raises :class:`Stopped`."""
        raise Stopped

    def run(self, until: float) -> None:
        """Run all events that are due by ``until``. Raises :class:`Violation` for an endless loop
        at one instant."""
        events, events_at_once = self._events, 0
        while events and events[0][0] <= until:
            time, _, callback, args = heapq.heappop(events)
            events_at_once = events_at_once + 1 if time - self.now < INSTANT else 0
            if events_at_once > MAX_EVENTS_AT_ONCE:
                raise Violation("time advances", "the fleet", f"loops for ever at {self.now} s")
            self.now = time
            callback(*args)
        self.now = until

    def time(self) -> int:
        """The true time, in microseconds since 1970."""
        return EPOCH + micros(self.now)

    def store_time(self) -> int:
        """The store's clock, in microseconds since 1970: the true time plus ``clock_shift``."""
        return self.time() + self.clock_shift
