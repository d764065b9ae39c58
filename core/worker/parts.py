"""What a pod consists of, apart from the rules that combine its parts."""

from __future__ import annotations

from collections.abc import Callable

from fleet_q.core.pod import PodDescription
from fleet_q.core.ports import StoreTraits
from fleet_q.core.routing import Routes, to_everywhere
from fleet_q.core.settings import PodSettings
from fleet_q.core.worker.claim_schedule import ClaimSchedule
from fleet_q.core.worker.claims import HeldClaims
from fleet_q.core.worker.claims_by_hand import ClaimsByHand
from fleet_q.core.worker.combining import Combining
from fleet_q.core.worker.firing_timer import FiringTimer
from fleet_q.core.worker.idle import IdleTracker
from fleet_q.core.worker.leader_duties import LeaderDuties
from fleet_q.core.worker.membership import Membership
from fleet_q.core.worker.outbox import Outbox
from fleet_q.core.worker.pacing import ClaimPacing
from fleet_q.core.worker.prefetch import Prefetch
from fleet_q.core.worker.store_backoff import StoreBackoff
from fleet_q.core.worker.sync_requests import SyncRequests


class PodParts:
    """The parts of one pod; each keeps track of one concern.

    ``new_id`` makes incarnations and claim tokens, ``chance`` draws numbers in [0, 1). The pod
    claims by itself, unless ``most_by_hand`` is the most steps that its callers may hold.
    ``routes`` returns which steps it may take now, ``describe`` what it tells when it joins.
    """

    def __init__(
        self,
        pod_id: str,
        settings: PodSettings,
        traits: StoreTraits,
        *,
        new_id: Callable[[], str],
        chance: Callable[[], float],
        most_by_hand: int | None = None,
        routes: Callable[[], Routes] = to_everywhere,
        describe: Callable[[], PodDescription | None] = lambda: None,
    ) -> None:
        self.member = Membership(pod_id, settings, new_id, describe)
        self.pacing = ClaimPacing(traits)
        self.prefetch = Prefetch(settings.prefetch, settings.claim_interval)
        self.by_hand = (
            None
            if most_by_hand is None
            else ClaimsByHand(settings, self.prefetch, routes, most_by_hand)
        )
        self.claims = self.by_hand or ClaimSchedule(settings, self.prefetch, routes)
        self.idle = IdleTracker(settings, traits)
        self.leading = LeaderDuties(pod_id, settings, chance)
        self.firing = FiringTimer(settings, chance)
        self.held = HeldClaims()
        self.outbox = Outbox()
        turn = routes if self.by_hand is None else self.by_hand.turn
        self.requests = SyncRequests(self.member, self.held, self.outbox, new_id, turn)
        self.backoff = StoreBackoff(settings, chance)
        self.combining = Combining(traits, self.pacing, self.backoff, chance)

    @property
    def held_bytes(self) -> int:
        """The bytes of all payloads and results that the pod holds."""
        return self.held.size + self.outbox.size
