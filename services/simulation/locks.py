"""Locks that are waited for in a queue, as a database's are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

H = TypeVar("H")


class LockTable(Generic[H]):
    """Exclusive locks by name. A lock goes to whoever has waited longest for it."""

    def __init__(self, most_waiters: int | None, granted: Callable[[H], object]) -> None:
        self._most_waiters = most_waiters
        self._granted = granted
        self._holders: dict[str, H] = {}
        self._waiting: dict[str, deque[H]] = {}

    def holder(self, name: str) -> H | None:
        """Who holds the lock."""
        return self._holders.get(name)

    def holders(self) -> Iterable[H]:
        """All who hold a lock, some of them more than once."""
        return self._holders.values()

    def waiters(self, name: str) -> int:
        """How many wait for the lock."""
        return len(self._waiting.get(name, ()))

    def most_waiting(self) -> int:
        """How many wait for the lock that most wait for."""
        return max(map(len, self._waiting.values()), default=0)

    def take(self, name: str, who: H) -> bool | None:
        """Take the lock (true), or wait for it (false); ``None``: too many wait already."""
        if self._holders.setdefault(name, who) is who:
            return True
        queue = self._waiting.setdefault(name, deque())
        if self._most_waiters is not None and len(queue) >= self._most_waiters:
            return None
        queue.append(who)
        return False

    def leave(self, name: str, who: H) -> None:
        """Wait no more."""
        queue = self._waiting[name]
        queue.remove(who)
        if not queue:
            del self._waiting[name]

    def release(self, name: str) -> None:
        """Let go of the lock; who waited longest holds it from now on, and is told."""
        queue = self._waiting.get(name)
        if not queue:
            del self._holders[name]
            return
        heir = queue.popleft()
        if not queue:
            del self._waiting[name]
        self._holders[name] = heir
        self._granted(heir)
