"""How many attempts run at once, whatever they run on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fleet_q.services.worker.attempt import Attempt


class Slots:
    """``most`` slots; ``has_free`` tells whether one is free. ``freed`` is called, in whatever
    thread, when a slot is free that its giver does not take again at once."""

    def __init__(self, most: int, freed: Callable[[], None]) -> None:
        self.most = most
        self.has_free = most > 0
        self._freed = freed
        self._held: set[Attempt] = set()
        self._lock = threading.Lock()

    def take(self, attempt: Attempt) -> bool:
        """Give this attempt a slot, if one is free."""
        with self._lock:
            if not self.has_free:
                return False
            self._held.add(attempt)
            self.has_free = len(self._held) < self.most
            return True

    def free(self, attempt: Attempt, *, announce: bool = True) -> bool:
        """Free the slot of an attempt that has ended, or was abandoned; only the first of the two
        counts: whether it was this one."""
        with self._lock:
            if attempt not in self._held:
                return False
            self._held.remove(attempt)
            self.has_free = True
        if announce:
            self._freed()
        return True

    def announce(self) -> None:
        """Tell that something may begin now."""
        self._freed()
