"""Actions that a round carries out later."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable


class Schedule:
    """Actions with the times at which they are due, on the monotonic clock."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Schedule ``action`` in ``seconds`` from now."""
        heapq.heappush(self._entries, (time.monotonic() + seconds, next(self._numbers), action))

    def run_due(self) -> None:
        """Carry out the actions that are due."""
        while self._entries and self._entries[0][0] <= time.monotonic():
            heapq.heappop(self._entries)[2]()

    @property
    def is_empty(self) -> bool:
        """Whether no action remains."""
        return not self._entries

    def finish(self) -> None:
        """Carry out all remaining actions now."""
        while self._entries:
            heapq.heappop(self._entries)[2]()
