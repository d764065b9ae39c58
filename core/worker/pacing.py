"""From how long a pod's turns take: when to send what has ended; and, from how long they have
waited for those of others, how soon to come when everybody is called.

All times are seconds on the machine's clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from fleet_q.core.ports import Manners

GATHERING: Final = 0.1
"""The part of a turn's duration for which the first outcome waits for others that are about to
come: what makes a turn dear makes gathering cheap, and a step's way is never much longer for it."""

LONGEST_GATHERING: Final = 1.0
"""Seconds; a store that is in trouble says little of what its turns are worth."""

SPREADING: Final = 4.0
"""Over how many times the wait that a turn has had its pod spreads its next claim: the longer the
queue at the store's lock, the fewer of those who wait in it find anything when their turn comes."""

LONGEST_SPREAD: Final = 30.0
"""Seconds; of a hundred pods that come within so long, the first comes after a third of one."""

FORGETTING: Final = 0.9
"""The part of the spread that is left after a turn that did not wait."""


class Pace:
    """``turn_took`` is how many seconds passed until the last turn was answered."""

    def __init__(self, manners: Manners) -> None:
        self._most_waiters = manners.most_waiters
        self._shortest_sync = manners.shortest_sync
        self.gather_until: float | None = None
        self.turn_took = 0.0
        self._sent_at = 0.0
        self._fastest = math.inf
        self._spread = 0.0

    def is_gathering(self, now: float) -> bool:
        """Whether outcomes that have come should wait for more."""
        if self.gather_until is None:
            self.gather_until = now + min(GATHERING * self.turn_took, LONGEST_GATHERING)
        return now < self.gather_until

    def sent(self, now: float) -> None:
        """A turn is sent, perhaps again."""
        self._sent_at = now

    def answered(self, now: float, *, is_telling: bool) -> None:
        """The turn has been answered. What one that ``is_telling`` took longer than the fastest of
        these, it has waited."""
        self.turn_took = now - self._sent_at
        self.gather_until = None
        if is_telling:
            self._fastest = min(self._fastest, self.turn_took)
            waited = SPREADING * (self.turn_took - self._fastest)
            self._spread = min(max(waited, FORGETTING * self._spread), LONGEST_SPREAD)

    def joined(self) -> None:
        """The queue of those who join a fleet says nothing of the queue of those who claim."""
        self._spread = 0.0

    @property
    def queue_takes(self) -> float:
        """Seconds that those take who wait for a lock, if they are as many as may. Who knows only
        turns that have waited themselves takes too much for it, and who knows none everything: so
        at first it is what the spread is, and longer each time."""
        if self._most_waiters is None:
            return self._spread
        return min(self._most_waiters * self._fastest, self._spread)

    def turned_away(self) -> None:
        """Too many came at once; half as many may do so the next time."""
        least = max(self._spread, self.turn_took, self._shortest_sync)
        self._spread = min(2 * least, LONGEST_SPREAD)

    def called_at(self, now: float, chance: Callable[[], float]) -> float:
        """When to claim after a call to everybody. At once, unless turns have waited: then some
        time within the spread, so that few come early, and those find something."""
        return now + chance() * self._spread if self._spread else now
