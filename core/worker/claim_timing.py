"""When to claim the steps of some routes again."""

from __future__ import annotations

import math

from fleet_q.core.ports import SyncResult


class ClaimTiming:
    """What the latest claim tells about the next one. Times are seconds on the machine's clock.

    ``has_backlog``: the claim was filled, so more steps may be waiting. ``is_held_back``: only the
    limits of queues kept it from being filled.
    """

    def __init__(self) -> None:
        self.has_backlog = True
        self.is_held_back = False
        self.next_claim = -math.inf
        self._claimed_at = -math.inf

    @property
    def due_at(self) -> float:
        """When a claim is due. Of several that are, the one that is due since the earliest time
        goes first, so none waits for ever."""
        return min(self._claimed_at, self.next_claim) if self.has_backlog else self.next_claim

    def is_due(self, now: float, *, has_outcomes: bool) -> bool:
        """Whether a claim is due. Outcomes make room in queues, so where steps are held back, they
        are claimed together with these."""
        return now >= self.due_at or (self.is_held_back and has_outcomes)

    def claim_now(self) -> None:
        """Claim with the next plan."""
        self.next_claim = self._claimed_at

    def claim_by(self, at: float) -> None:
        """Claim at that time, unless a claim is due earlier."""
        self.next_claim = min(self.next_claim, at)

    def on_claimed(self, result: SyncResult, claim: int, now: float, next_claim: float) -> None:
        """The store has answered a request for ``claim`` steps. Claim again at ``next_claim`` if
        nothing happens before."""
        self.is_held_back = result.held_back
        self.has_backlog = result.more or len(result.claimed) >= claim
        self.next_claim = next_claim
        self._claimed_at = now
