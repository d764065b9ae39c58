"""Threads that cannot be ended: counted, told, and bounded."""

from __future__ import annotations

import threading

from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.pod")


class LeftBehind:
    """Counts the threads whose functions were given up and have not returned; up to ``most``."""

    def __init__(self, most: int) -> None:
        self.is_full = False
        self._most = most
        self._count = 0
        self._next_told = 1
        self._lock = threading.Lock()

    @property
    def trouble(self) -> str | None:
        """Why no more functions are begun, if that is so."""
        if not self.is_full:
            return None
        return (
            f"{self._count} functions whose time was up still hold their threads; no more plain"
            " functions are begun until some of them return"
        )

    def add(self) -> None:
        """A function is given up; it holds its thread until :meth:`remove`, which may come
        first."""
        with self._lock:
            self._count += 1
            self.is_full = self._count >= self._most
            is_told = self._count >= self._next_told or self._count == self._most
            if is_told:
                self._next_told = 2 * self._count
        if is_told:
            log.warning(
                "%d thread(s) are held by functions whose time was up, or that were cancelled;"
                " at %d no more are begun",
                self._count,
                self._most,
            )

    def remove(self) -> bool:
        """Such a function has returned after all; true if others can be begun again."""
        with self._lock:
            was_full = self.is_full
            self._count -= 1
            self.is_full = self._count >= self._most
            if self._count == 0:
                self._next_told = 1
            return was_full and not self.is_full
