"""The count of threads whose functions were abandoned, and its limit."""

from __future__ import annotations

import threading

from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.pod")


class LeftBehind:
    """Counts the threads whose functions were abandoned and have not returned. At ``limit`` no more
    plain functions may begin."""

    def __init__(self, limit: int) -> None:
        self.is_full = False
        self._limit = limit
        self._count = 0
        self._next_logged = 1
        self._lock = threading.Lock()

    @property
    def trouble(self) -> str | None:
        """Why no more plain functions begin; ``None`` if they do."""
        if not self.is_full:
            return None
        return (
            f"{self._count} functions that timed out or were cancelled still hold their threads; no"
            " more plain functions begin until some of them return"
        )

    def add(self) -> None:
        """Count a thread whose function was abandoned, until :meth:`remove`. The two may be called
        in either order."""
        with self._lock:
            self._count += 1
            self.is_full = self._count >= self._limit
            is_logged = self._count >= self._next_logged or self._count == self._limit
            if is_logged:
                self._next_logged = 2 * self._count
        if is_logged:
            log.warning(
                "%d thread(s) are held by functions that timed out or were cancelled; at %d no more"
                " functions begin",
                self._count,
                self._limit,
            )

    def remove(self) -> bool:
        """Uncount a thread whose function has returned. ``True`` if functions may begin again."""
        with self._lock:
            was_full = self.is_full
            self._count -= 1
            self.is_full = self._count >= self._limit
            if self._count == 0:
                self._next_logged = 1
            return was_full and not self.is_full
