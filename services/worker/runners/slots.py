"""The slots of a pod, which limit how many functions run at once in all runners."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from fleet_q.core.step import Step
from fleet_q.services.worker.attempt import Attempt

Times = deque[tuple[Step, float]]
"""Steps with seconds."""


class Slots:
    """``limit`` slots. ``has_free`` tells whether one is free. ``on_freed`` is called when a slot
    becomes free, in the thread that freed it, unless that thread asks not to announce it."""

    def __init__(self, limit: int, on_freed: Callable[[], None]) -> None:
        self.limit = limit
        self.has_free = limit > 0
        self._on_freed = on_freed
        self._held: set[Attempt] = set()
        self._lock = threading.Lock()

    @property
    def used(self) -> int:
        """How many are taken."""
        return len(self._held)

    def take(self, attempt: Attempt) -> bool:
        """Take a slot for ``attempt``. ``False`` if none is free."""
        with self._lock:
            if not self.has_free:
                return False
            self._held.add(attempt)
            self.has_free = len(self._held) < self.limit
            return True

    def free(self, attempt: Attempt, *, announce: bool = True) -> bool:
        """Free the slot of an attempt that has ended or was abandoned. ``False`` if it was freed
        before."""
        with self._lock:
            if attempt not in self._held:
                return False
            self._held.remove(attempt)
            self.has_free = True
        if announce:
            self._on_freed()
        return True

    def announce(self) -> None:
        """Call ``on_freed``: a slot that was freed unannounced may be taken."""
        self._on_freed()


class TimedSlots(Slots):
    """Slots that add each step whose attempt had one to ``times``, with the seconds for which it
    had it."""

    def __init__(self, limit: int, on_freed: Callable[[], None], times: Times) -> None:
        super().__init__(limit, on_freed)
        self._add_time = times.append  # which threads may call at the same time
        self._taken_at: dict[Attempt, float] = {}

    @property
    def used(self) -> int:
        return len(self._taken_at)

    # Not by those of the base class: a call more of each would cost more than the times do.

    def take(self, attempt: Attempt) -> bool:
        with self._lock:
            if not self.has_free:
                return False
            self._taken_at[attempt] = monotonic()
            self.has_free = len(self._taken_at) < self.limit
            return True

    def free(self, attempt: Attempt, *, announce: bool = True) -> bool:
        with self._lock:
            taken_at = self._taken_at.pop(attempt, None)
            if taken_at is None:
                return False
            self.has_free = True
        self._add_time((attempt.step, monotonic() - taken_at))
        if announce:
            self._on_freed()
        return True
