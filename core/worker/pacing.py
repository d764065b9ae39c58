"""Whether syncs are contended, how long outcomes linger, and how far pods spread their claims.

All of it follows from the sync latency that the pod observes. All times are seconds on the
machine's clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from fleet_q.core.pod import Join
from fleet_q.core.ports import StoreTraits, SyncRequest, SyncResult

LINGER_SHARE: Final = 0.1
"""The part of the sync latency for which the first outcome waits for others. Linger is proportional
to the latency, so it adds at most 10 % to a step's way, and saves syncs where they are slow."""

LONGEST_LINGER: Final = 1.0
"""Seconds; bounds the linger when the store is in trouble and a sync takes very long."""

CONTENDED_LINGER_SHARE: Final = 1.0
LONGEST_CONTENDED_LINGER: Final = 5.0
"""The same while syncs are contended and no slot is free, so that only the outcome's reader waits
for it. A request then carries twice as many outcomes, and the fleet sends half as many requests."""

JITTER_FACTOR: Final = 4.0
"""The jitter window is this many times the time that a sync waited for a lock. The longer the
queue, the fewer of the pods in it find a step when they get the lock."""

LONGEST_JITTER: Final = 30.0
"""Seconds; of a hundred pods that claim within this window, the first claims after 0.3 s on
average."""

JITTER_DECAY: Final = 0.9
"""The part of the jitter window that is left after a sync that did not wait."""

CLAIMING_SPREAD: Final = 0.3
"""Seconds of the jitter window for each pod that the same change lets wake, or claim. The first of
them claims after 0.3 s on average, and three or four a second do."""

LONGEST_WINDOW: Final = 300.0
"""Seconds; the jitter window of a thousand pods."""

LONGEST_SERVING: Final = 2.0
"""Seconds; bounds what a pod takes for the time that serving takes until it has seen a fast one."""

CONTENDED_SHARE: Final = 0.5
"""Syncs are contended once one has waited for a lock for this share of the time that the fastest
one took."""


class ClaimPacing:
    """Measures syncs. ``sync_took`` is the seconds that the last one took; ``began_at`` is when it
    was sent, or posted to the mailbox. ``is_contended``: pods wait for each other's locks, in a
    store that can serve their requests together."""

    def __init__(self, traits: StoreTraits) -> None:
        self._most_waiters = traits.most_waiters
        self.shortest_sync = traits.shortest_sync
        self._can_combine = traits.combines
        self.linger_until: float | None = None
        self.sync_took = 0.0
        self.waited = 0.0
        """About how many seconds of that the last sync waited for a lock."""
        self.is_contended = False
        self._fastest_exchange = math.inf
        self.began_at = 0.0
        self._sent_at = 0.0
        self._lingers_since = 0.0
        self._fastest = math.inf
        self._jitter = 0.0

    def is_lingering(self, now: float, *, has_free_slots: bool) -> bool:
        """Whether finished outcomes wait for more. The first call after a sync starts the time."""
        if self.linger_until is None:
            self._lingers_since = now
        if self.is_contended and not has_free_slots:
            seconds = min(CONTENDED_LINGER_SHARE * self.sync_took, LONGEST_CONTENDED_LINGER)
        else:
            seconds = min(LINGER_SHARE * self.sync_took, LONGEST_LINGER)
        self.linger_until = self._lingers_since + seconds
        return now < self.linger_until

    def on_sent(self, now: float, *, is_posted: bool = False) -> None:
        """A sync, or a retry of it, is sent. ``is_posted``: it may have been posted before."""
        self._sent_at = now
        if not is_posted:
            self.began_at = now

    def on_synced(self, now: float, *, is_representative: bool) -> None:
        """The store has answered. The time by which a representative sync took longer than the
        fastest one is taken for the time that it waited for a lock."""
        self.sync_took = now - self._sent_at
        self.linger_until = None
        self.waited = 0.0
        if is_representative:
            self._fastest = min(self._fastest, self.sync_took)
            self.waited = waited = self.sync_took - self._fastest
            if self._can_combine and waited > CONTENDED_SHARE * self._fastest:
                self.is_contended = True
            jitter = max(JITTER_FACTOR * waited, JITTER_DECAY * self._jitter)
            self._jitter = min(jitter, LONGEST_JITTER)

    def on_served(self, now: float, others: int | None) -> None:
        """A request was answered through the mailbox. If this pod served, then together with so
        many requests of ``others``; if there were none, syncs are no longer contended."""
        self.sync_took = now - self._sent_at
        self.waited = 0.0
        self.linger_until = None
        self._fastest_exchange = min(self._fastest_exchange, self.sync_took)
        if others is not None:
            self.is_contended = others > 0

    @property
    def serving_took(self) -> float:
        """About how many seconds it takes to serve the requests in a mailbox: as long as the
        fastest exchange."""
        return max(self.shortest_sync, min(self._fastest_exchange, LONGEST_SERVING))

    def on_joined(self) -> None:
        """The pod has joined. Reset the jitter window: all pods of a new fleet join at once, and
        that queue does not predict the queue of those that claim."""
        self._jitter = 0.0

    @property
    def queue_duration(self) -> float:
        """Seconds that a full queue for a lock takes, at most the jitter window.

        It is estimated from the fastest sync. A pod whose syncs have all waited overestimates it,
        so the jitter window, which starts small and doubles with each rejection, bounds it.
        """
        if self._most_waiters is None:
            return self._jitter
        return min(self._most_waiters * self._fastest, self._jitter)

    def on_rejected(self) -> None:
        """Too many pods wait for a lock. Double the jitter window, so that half as many come at
        once."""
        self.is_contended = self._can_combine
        least = max(self._jitter, self.sync_took, self.shortest_sync)
        self._jitter = min(2 * least, LONGEST_JITTER)

    def claim_at(self, now: float, chance: Callable[[], float], *, pods: int = 0) -> float:
        """When to claim after a change that all pods see: now, or at a random time within the
        jitter window if syncs have waited, so that the first few pods take the steps. The window
        is wider if the same change lets many ``pods`` claim."""
        window = max(self._jitter, claiming_window(pods))
        return now + chance() * window if window else now


def claiming_window(pods: int) -> float:
    """The jitter window in seconds of so many pods, which the same change lets claim."""
    return min(CLAIMING_SPREAD * pods, LONGEST_WINDOW)


def is_representative(request: SyncRequest, result: SyncResult) -> bool:
    """Whether the duration of this sync predicts that of the next one.

    It does not if the sync only looked for a step, or if it joined: all pods join at once when a
    fleet starts.
    """
    if isinstance(request.pod_command, Join) or not result.done:
        return False
    return request.pod_command is not None or bool(request.outcomes or result.claimed)
