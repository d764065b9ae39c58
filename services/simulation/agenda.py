"""Virtual time: what is going to happen, in order; time that nothing happens in costs nothing."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from fleet_q.core.retry import micros

EPOCH: Final = 1_767_225_600_000_000
"""The store's time when a simulation begins, 2026-01-01 in microseconds since 1970."""


class Agenda:
    """Events by their time, in seconds since the simulation began; at one time, first come."""

    def __init__(self) -> None:
        self.now = 0.0
        self.happened = 0
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = count()

    def at(self, when: float, what: Callable[..., object], *args: Any) -> None:
        """Let ``what(*args)`` happen at ``when``, or now if that is past."""
        heapq.heappush(self._events, (max(when, self.now), next(self._order), what, args))

    def after(self, seconds: float, what: Callable[..., object], *args: Any) -> None:
        """The same, ``seconds`` from now."""
        self.at(self.now + seconds, what, *args)

    def run(self, until: float) -> None:
        """Let everything happen that is due by ``until``."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, what, args = heapq.heappop(events)
            self.happened += 1
            what(*args)
        self.now = until

    def store_time(self) -> int:
        """The clock of the store, which is right by definition: microseconds since 1970."""
        return EPOCH + micros(self.now)
