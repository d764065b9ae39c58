"""A lock table with a queue of waiters for each lock, as in a database."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

H = TypeVar("H")


class LockTable(Generic[H]):
    """Exclusive locks by name, granted in the order of waiting. ``most_waiters``: for one lock;
    ``None`` is no limit. ``on_granted`` is called with a waiter that becomes the holder."""

    def __init__(self, most_waiters: int | None, on_granted: Callable[[H], object]) -> None:
        self._most_waiters = most_waiters
        self._on_granted = on_granted
        self._holders: dict[str, H] = {}
        self._waiting: dict[str, deque[H]] = {}

    def holder(self, name: str) -> H | None:
        """The holder of the lock, or ``None``."""
        return self._holders.get(name)

    def holders(self) -> Iterable[H]:
        """The holders of all locks; a holder of several comes up several times."""
        return self._holders.values()

    def waiters(self, name: str) -> int:
        """Number of waiters for the lock."""
        return len(self._waiting.get(name, ()))

    def most_waiting(self) -> int:
        """Number of waiters for the busiest lock."""
        return max(map(len, self._waiting.values()), default=0)

    def take(self, name: str, client: H) -> bool | None:
        """Take the lock (true) or queue for it (false); ``None`` if its queue is full."""
        if self._holders.setdefault(name, client) is client:
            return True
        queue = self._waiting.setdefault(name, deque())
        if self._most_waiters is not None and len(queue) >= self._most_waiters:
            return None
        queue.append(client)
        return False

    def leave(self, name: str, client: H) -> None:
        """Leave the queue for the lock."""
        queue = self._waiting[name]
        queue.remove(client)
        if not queue:
            del self._waiting[name]

    def release(self, name: str) -> None:
        """Release the lock, and grant it to the first waiter."""
        queue = self._waiting.get(name)
        if not queue:
            del self._holders[name]
            return
        next_holder = queue.popleft()
        if not queue:
            del self._waiting[name]
        self._holders[name] = next_holder
        self._on_granted(next_holder)
