"""The slots of a warehouse: a limited number of statements run at a time, and others queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

S = TypeVar("S")


class Slots(Generic[S]):
    """``count`` slots, given in the order of waiting. ``on_granted`` is called with a waiter that
    gets one."""

    def __init__(self, count: float, on_granted: Callable[[S], object]) -> None:
        self._free = count
        self._on_granted = on_granted
        self._waiting: deque[S] = deque()

    def take(self, client: S) -> bool:
        """Take a slot (true), or queue for one (false)."""
        if self._free >= 1:
            self._free -= 1
            return True
        self._waiting.append(client)
        return False

    def leave(self, client: S) -> None:
        """Leave the queue, if the client is in it."""
        if client in self._waiting:
            self._waiting.remove(client)

    def release(self) -> None:
        """Give a slot back, or to the first waiter."""
        if self._waiting:
            self._on_granted(self._waiting.popleft())
        else:
            self._free += 1
