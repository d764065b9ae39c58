"""From how long a pod's turns take: when to send what has ended; and, from how long they have
waited for those of others, how soon to come when everybody is called.

All times are seconds on the machine's clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from fleet_q.core.ports import StoreTraits

LINGER_SHARE: Final = 0.1
"""The part of a turn's duration for which the first outcome waits for others that are about to
come: what makes a turn dear makes gathering cheap, and a step's way is never much longer for it."""

LONGEST_LINGER: Final = 1.0
"""Seconds; a store that is in trouble says little of what its turns are worth."""

JITTER_FACTOR: Final = 4.0
"""Over how many times the wait that a turn has had its pod spreads its next claim: the longer the
queue at the store's lock, the fewer of those who wait in it find anything when their turn comes."""

LONGEST_JITTER: Final = 30.0
"""Seconds; of a hundred pods that come within so long, the first comes after a third of one."""

JITTER_DECAY: Final = 0.9
"""The part of the spread that is left after a turn that did not wait."""


class ClaimPacing:
    """``sync_took`` is how many seconds passed until the last turn was answered."""

    def __init__(self, traits: StoreTraits) -> None:
        self._most_waiters = traits.most_waiters
        self._shortest_sync = traits.shortest_sync
        self.linger_until: float | None = None
        self.sync_took = 0.0
        self._sent_at = 0.0
        self._fastest = math.inf
        self._jitter = 0.0

    def is_lingering(self, now: float) -> bool:
        """Whether outcomes that have come should wait for more."""
        if self.linger_until is None:
            self.linger_until = now + min(LINGER_SHARE * self.sync_took, LONGEST_LINGER)
        return now < self.linger_until

    def sent(self, now: float) -> None:
        """A turn is sent, perhaps again."""
        self._sent_at = now

    def on_synced(self, now: float, *, is_representative: bool) -> None:
        """The turn has been answered. What one that ``is_representative`` took longer than the
        fastest of
        these, it has waited."""
        self.sync_took = now - self._sent_at
        self.linger_until = None
        if is_representative:
            self._fastest = min(self._fastest, self.sync_took)
            waited = JITTER_FACTOR * (self.sync_took - self._fastest)
            self._jitter = min(max(waited, JITTER_DECAY * self._jitter), LONGEST_JITTER)

    def joined(self) -> None:
        """The queue of those who join a fleet says nothing of the queue of those who claim."""
        self._jitter = 0.0

    @property
    def queue_duration(self) -> float:
        """Seconds that those take who wait for a lock, if they are as many as may. Who knows only
        turns that have waited themselves takes too much for it, and who knows none everything: so
        at first it is what the spread is, and longer each time."""
        if self._most_waiters is None:
            return self._jitter
        return min(self._most_waiters * self._fastest, self._jitter)

    def on_rejected(self) -> None:
        """Too many came at once; half as many may do so the next time."""
        least = max(self._jitter, self.sync_took, self._shortest_sync)
        self._jitter = min(2 * least, LONGEST_JITTER)

    def claim_at(self, now: float, chance: Callable[[], float]) -> float:
        """When to claim after a call to everybody. At once, unless turns have waited: then some
        time within the spread, so that few come early, and those find something."""
        return now + chance() * self._jitter if self._jitter else now
