"""How fast a pod's steps end beside how long its turns take: when to send, and how much to claim.

All times are seconds on the machine's clock.
"""

from __future__ import annotations

from typing import Final

GATHERING: Final = 0.1
"""The part of a turn's duration for which the first outcome waits for others that are about to
come: what makes a turn dear makes gathering cheap, and a step's way is never much longer for it."""

LONGEST_GATHERING: Final = 1.0
"""Seconds; a store that is in trouble says little of what its turns are worth."""

TINY: Final = 1e-6
"""Seconds; a clock that has not moved is no reason to divide by nothing."""


class Pace:
    """``ahead`` is how many steps to hold beyond those that run: at most ``most_ahead``."""

    def __init__(self, most_ahead: int) -> None:
        self.ahead = 0
        self.gather_until: float | None = None
        self._most_ahead = most_ahead
        self._sent_at = 0.0
        self._turn_took = 0.0

    def is_gathering(self, now: float) -> bool:
        """Whether outcomes that have come should wait for more."""
        if self.gather_until is None:
            self.gather_until = now + min(GATHERING * self._turn_took, LONGEST_GATHERING)
        return now < self.gather_until

    def look_ahead(self, ended: int, now: float) -> None:
        """Of the steps that ended since the last turn, work out ``ahead``: what ends during two
        turns at this pace, so that functions do not wait for the store. Where they take longer
        than a turn, that is nothing."""
        if ended:
            pace = ended / max(now - self._sent_at, self._turn_took, TINY)
            self.ahead = min(self._most_ahead, int(2 * pace * self._turn_took))

    def sent(self, now: float) -> None:
        """A turn is sent, perhaps again."""
        self._sent_at = now

    def answered(self, now: float) -> None:
        """The turn has been answered."""
        self._turn_took = now - self._sent_at
        self.gather_until = None
