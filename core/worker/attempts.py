"""How the functions of the steps that a pod holds end: by themselves, in time or not, or lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.retry import RetryPolicy
from fleet_q.core.step import Outcome, Release, Step
from fleet_q.core.worker.parts import PodParts


class Attempts:
    """Turns the ends of functions into outcomes to record, and collects the functions to stop."""

    def __init__(self, parts: PodParts, retry_policy: RetryPolicy) -> None:
        self._held = parts.held
        self._running = parts.held.by_id
        self._outbox = parts.outbox
        self._prefetch = parts.prefetch
        self._claims = parts.claims
        self._kept = parts.requests.kept
        self._retry_policy = retry_policy
        self._abandoned: list[tuple[str, str]] = []

    def add(self, steps: Sequence[Step], claim_token: str, sizes: Sequence[int]) -> None:
        """The pod has claimed these steps, whose payloads have these sizes. The functions of
        earlier claims of them are abandoned."""
        self._abandoned += self._held.add(steps, claim_token, sizes)

    def finished(self, outcome: Outcome) -> bool:
        """A function has ended. False if the pod does not hold its claim any more, and ignores the
        outcome."""
        held = self._running.get(outcome.step_id)
        if held is None or held.claim_token != outcome.claim_token:
            return False
        del self._running[outcome.step_id]
        self._held.size -= held.size
        self._outbox.add(outcome)
        self._prefetch.ended += 1
        claims = self._claims
        if claims.usable < claims.slots:
            claims.usable += 1
        return True

    def withdrawn(self, claims: Iterable[tuple[str, str]]) -> None:
        """Release these steps, which have not begun: that says nothing about how fast they end."""
        for claim in claims:
            self._prefetch.ended -= self.finished(Release(*claim))

    def expire(self, now: float, *, is_over: bool) -> None:
        """Give up the functions that have run for too long; release all steps if the drain
        ``is_over``."""
        for step_id, held in self._held.expired(now):
            self._give_up(
                held.on_timeout
                or self._retry_policy.timed_out(
                    step_id, held.claim_token, held.attempt, held.timeout
                )
            )
        if is_over:
            for claim in self._held.pairs():
                self._give_up(Release(*claim))

    def drop_lost(self, request: SyncRequest, result: SyncResult) -> None:
        """Abandon the functions whose claims do not stand any more."""
        checked = dict(request.check_held)
        for step_id in result.lost:
            held = self._running.get(step_id)
            if held is not None and held.claim_token == checked.get(step_id):
                self._held.drop(step_id)
                self._abandoned.append((step_id, held.claim_token))

    def release_unexpected(self, claims: Iterable[tuple[str, str]]) -> None:
        """Release steps that the store has claimed for this pod without its knowledge."""
        for step_id, claim_token in claims:
            held = self._running.get(step_id)
            is_held = held is not None and held.claim_token == claim_token
            if is_held or step_id in self._kept or self._outbox.has(step_id, claim_token):
                continue
            self._outbox.add(Release(step_id, claim_token))

    def take_abandoned(self) -> tuple[tuple[str, str], ...]:
        """The claims whose functions are to be stopped; the next call does not repeat them."""
        abandoned, self._abandoned = tuple(self._abandoned), []
        return abandoned

    def _give_up(self, outcome: Outcome) -> None:
        self.finished(outcome)
        self._abandoned.append((outcome.step_id, outcome.claim_token))
