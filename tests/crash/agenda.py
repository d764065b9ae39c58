"""What is to be done later in a round."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable


class Agenda:
    """Things to do, each at its time, by whoever tends to it."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Have ``what`` done in so many seconds."""
        heapq.heappush(self._entries, (time.monotonic() + seconds, next(self._numbers), what))

    def tend(self) -> None:
        """Do what is due."""
        while self._entries and self._entries[0][0] <= time.monotonic():
            heapq.heappop(self._entries)[2]()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to do."""
        return not self._entries

    def finish(self) -> None:
        """Do all that is left, without waiting for its time."""
        while self._entries:
            heapq.heappop(self._entries)[2]()
