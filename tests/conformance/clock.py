"""A clock that moves only when a test sets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

SECOND: Final = 1_000_000
"""Microseconds, the unit of the stores' times."""


class FakeClock:
    """Call it for the time, in whole microseconds since the Unix epoch."""

    def __init__(self) -> None:
        self._now = 1_700_000_000 * SECOND
        self.followers: list[Callable[[int], None]] = []
        """Called with the time whenever it changes, to set the clocks of servers."""

    def lead(self, follower: Callable[[int], None]) -> None:
        """Set another clock to this one's time, now and at every change."""
        self.followers.append(follower)
        follower(self._now)

    def __call__(self) -> int:
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        assert seconds >= 0
        self.step(seconds)

    def step(self, seconds: float) -> None:
        """Set the clock, forwards or backwards, as an administrator might."""
        self._now += round(seconds * SECOND)
        for follow in self.followers:
            follow(self._now)
