"""What a pod's sync requests carry: a command, outcomes, claims, and claims to confirm."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace

from fleet_q.core.pod import Join, Leave, PodCommand, SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.core.routing import Routes
from fleet_q.core.step import Release
from fleet_q.core.worker.claims import HeldClaims
from fleet_q.core.worker.membership import Membership
from fleet_q.core.worker.outbox import MOST_OUTCOMES, Outbox
from fleet_q.core.worker.refusals import Refusals


class SyncRequests:
    """Makes a pod's requests. ``pending`` is the one that is sent and not answered yet.

    ``must_confirm``: a step may only begin once its claim is confirmed. ``progress``: what
    functions reported last, as JSON by claim; any thread may add to it. ``kept`` are the steps of
    which the store refuses every outcome. ``new_token`` makes claim tokens, ``routes`` returns
    which steps the pod may take.
    """

    def __init__(
        self,
        member: Membership,
        held: HeldClaims,
        outbox: Outbox,
        new_token: Callable[[], str],
        routes: Callable[[], Routes],
    ) -> None:
        self.pending: SyncRequest | None = None
        self.must_confirm = False
        self.progress: dict[tuple[str, str], str] = {}
        self._refusals = Refusals(MOST_OUTCOMES)
        self.kept = self._refusals.kept
        self._was_rejected = False  # the store had no room for a heartbeat and what came with it
        self._member = member
        self._held = held
        self._outbox = outbox
        self._new_token = new_token
        self._routes = routes

    def repeat(self, pending: SyncRequest) -> SyncRequest:
        """The same request again: the store may have carried it out, and the answer was lost."""
        self.pending = replace(pending, is_retry=True)
        return self.pending

    def wake(self, slots: int) -> SyncRequest:
        """Claim up to ``slots`` steps, and wake the pod only if there is one; finding none costs no
        write."""
        self.pending = SyncRequest(
            self._member.pod_id,
            self._member.incarnation,
            self._member.heartbeat(),
            claim=slots,
            claim_token=self._new_token(),
            only_if_claimable=True,
            routes=self._routes(),
        )
        return self.pending

    def build(
        self,
        pod_command: PodCommand | None,
        heartbeat: SendHeartbeat | None,
        claim: int,
        due_prefetch: Callable[[int], int],
        *,
        records_starts: bool,
    ) -> SyncRequest | None:
        """The next request, with all outcomes that fit in it, or ``None`` if nothing is due. A
        request without a command takes ``heartbeat`` along.

        ``claim`` is how many steps to claim for free slots; ``due_prefetch`` says how many to claim
        beyond them.
        """
        outcomes, prefetch = self._outbox.batch(self._refusals.most), 0
        if pod_command is None and not self.must_confirm and not outcomes and not claim:
            return None
        if self._was_rejected and isinstance(pod_command, SendHeartbeat):
            outcomes, claim = (), 0  # a heartbeat alone needs no contended lock
        elif outcomes and self._refusals.is_searching:
            claim = 0
            if isinstance(pod_command, Leave):
                pod_command = None
            if pod_command is not None:
                outcomes = ()
        else:
            pod_command = pod_command or heartbeat
            prefetch = due_prefetch(claim)
            claim += prefetch
        checks = self.must_confirm or isinstance(pod_command, SendHeartbeat | Join)
        has_to_write = pod_command is not None or bool(outcomes)  # progress is no reason to
        self.must_confirm = False
        self.pending = SyncRequest(
            pod_id=self._member.pod_id,
            incarnation=self._member.incarnation,
            pod_command=pod_command,
            outcomes=outcomes,
            claim=claim,
            claim_token=self._new_token() if claim else "",
            prefetch=prefetch,
            check_held=self._held.pairs() if checks else (),
            records_starts=records_starts,
            routes=self._routes(),
            progress=self._take_progress() if self.progress and has_to_write else (),
        )
        return self.pending

    def _take_progress(self) -> tuple[tuple[str, str, str], ...]:
        """What was reported since the last request. Each is removed by one operation, since
        functions go on reporting."""
        taken = []
        with suppress(KeyError):
            while True:
                (step_id, claim_token), progress = self.progress.popitem()
                taken.append((step_id, claim_token, progress))
        return tuple(taken)

    def last(self) -> list[SyncRequest]:
        """The requests that record all outcomes, release all claims, and leave."""
        pod_id, incarnation = self._member.pod_id, self._member.incarnation
        batches = self._outbox.take_all(Release(*claim) for claim in self._held.pairs())
        self.pending = None
        self._held.clear()
        requests = [SyncRequest(pod_id, incarnation, outcomes=batch) for batch in batches]
        return [*requests, SyncRequest(pod_id, incarnation, Leave(pod_id, incarnation))]

    def on_synced(self, outcomes: int) -> None:
        """The store has carried out the pending request and taken so many outcomes."""
        self.pending = None
        self._was_rejected = False
        self._refusals.accepted(outcomes)

    def on_contended(self) -> None:
        """The store had no room for the pending request. Unless an earlier try of it may have been
        carried out, forget it: by the time of the next sync, less may be due."""
        if self.pending is not None and not self.pending.is_retry:
            self._was_rejected = isinstance(self.pending.pod_command, SendHeartbeat)
            self._forget(self.pending)

    def on_incarnation_ended(self) -> None:
        """The pending request is not carried out, and the leader recovers the steps in ``kept``."""
        self.pending = None
        self.kept.clear()

    def on_refused(self, error: str) -> bool:
        """The store refuses the pending request for good: repeat it without its outcomes.

        The outcomes follow in smaller requests until the refused one has been found. False if the
        request has none, so nothing can be left out.
        """
        request = self.pending
        if request is None or not request.outcomes:
            return False
        is_alone = request.pod_command is None and not request.claim
        if is_alone and self._refusals.blames(len(request.outcomes)):
            self._outbox.remove(1)
            replacement = self._refusals.replace(request.outcomes[0], error)
            if replacement is not None:
                self._outbox.add_first(replacement)
        self._refusals.refused(len(request.outcomes))
        pod_command = request.pod_command
        if pod_command is None or isinstance(pod_command, Leave):
            pod_command = self._member.heartbeat() if self._member.has_joined else None
        if pod_command is None and not request.claim:
            self._forget(request)
        else:
            self.pending = replace(request, pod_command=pod_command, outcomes=())
        return True

    def _forget(self, request: SyncRequest) -> None:
        self.must_confirm = self.must_confirm or bool(request.check_held)
        for step_id, claim_token, progress in request.progress:
            self.progress.setdefault((step_id, claim_token), progress)
        self.pending = None
