"""How many attempts run at once, whatever they run on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from fleet_q.services.attempt import Attempt


class Slots:
    """``most`` slots. ``freed`` is called, in whatever thread, when a slot is free that its giver
    does not take again at once."""

    def __init__(self, most: int, freed: Callable[[], None]) -> None:
        self.most = most
        self._free = most
        self._freed = freed
        self._held: set[Attempt] = set()
        self._lock = threading.Lock()

    @property
    def has_free(self) -> bool:
        """Whether a slot is free."""
        return self._free > 0

    def take(self) -> bool:
        """Take a slot, if one is free."""
        with self._lock:
            if not self._free:
                return False
            self._free -= 1
            return True

    def give_back(self) -> None:
        """Give a taken slot back that nobody holds."""
        with self._lock:
            self._free += 1

    def hold(self, attempt: Attempt) -> None:
        """The taken slot is this attempt's."""
        self._held.add(attempt)

    def free(self, attempt: Attempt, *, announce: bool = True) -> bool:
        """Free the slot of an attempt that has ended, or was abandoned; only the first of the two
        counts: whether it was this one."""
        with self._lock:
            if attempt not in self._held:
                return False
            self._held.remove(attempt)
            self._free += 1
        if announce:
            self._freed()
        return True

    def announce(self) -> None:
        """Tell that something may begin now."""
        self._freed()
