"""The slots of a pod, which limit how many functions run at once in all runners."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from fleet_q.core.step import Step
from fleet_q.services.worker.attempt import Attempt


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
    """Slots that call ``on_used`` with the step and the seconds for which its attempt had one. It
    may be called in any thread, and should not raise."""

    def __init__(
        self, limit: int, on_freed: Callable[[], None], on_used: Callable[[Step, float], None]
    ) -> None:
        super().__init__(limit, on_freed)
        self._on_used = on_used
        self._taken_at: dict[Attempt, float] = {}

    def take(self, attempt: Attempt) -> bool:
        taken = super().take(attempt)
        if taken:
            self._taken_at[attempt] = monotonic()
        return taken

    def free(self, attempt: Attempt, *, announce: bool = True) -> bool:
        taken_at = self._taken_at.pop(attempt, None)
        if taken_at is not None:
            self._on_used(attempt.step, monotonic() - taken_at)
        return super().free(attempt, announce=announce)
