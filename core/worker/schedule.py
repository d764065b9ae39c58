"""When a pod's next calls of the store are due, and what they carry."""

from __future__ import annotations

import math

from fleet_q.core.pod import PodCommand
from fleet_q.core.ports import SyncRequest
from fleet_q.core.routing import Routes
from fleet_q.core.worker.parts import PodParts


class Schedule:
    """The rules that combine the parts of a pod. Times are seconds on the machine's clock."""

    def __init__(self, parts: PodParts) -> None:
        self._parts = parts
        self._member = parts.member
        self._pacing = parts.pacing
        self._prefetch = parts.prefetch
        self._claims = parts.claims
        self._idle = parts.idle
        self._leading = parts.leading
        self._held = parts.held
        self._running = parts.held.by_id
        self._outbox = parts.outbox
        self._requests = parts.requests
        self._backoff = parts.backoff
        self._has_withdrawn = False  # the draining pod has released what had not begun

    def due_sync(self, now: float, *, records_starts: bool) -> SyncRequest | None:
        """The request to send now, or ``None``."""
        if self._member.phase == "gone" or now < self._backoff.retry_at:
            return None
        request: SyncRequest | None
        if self._requests.pending is not None:
            request = self._requests.repeat(self._requests.pending)
        elif self._member.phase == "asleep":
            free = self._claims.free(0)
            is_due = free > 0 and now >= self._idle.wake_at
            request = self._requests.wake(free) if is_due else None
        else:
            request = self._next_request(now, records_starts)
        if request is not None:
            self._pacing.on_sent(now, is_posted=self._parts.combining.is_posted)
        return request

    def _next_request(self, now: float, records_starts: bool) -> SyncRequest | None:
        requests = self._requests
        requests.must_confirm = requests.must_confirm and bool(self._running)
        pod_command = self._due_command(now)
        if pod_command is None and not requests.must_confirm and self._is_lingering(now):
            return None
        return requests.build(
            pod_command,
            self._member.early_heartbeat(now) if self._pacing.is_contended else None,
            self._due_claim(now),
            lambda free: self._due_prefetch(free, now),
            records_starts=records_starts,
        )

    def _due_command(self, now: float) -> PodCommand | None:
        return self._member.due_command(
            now,
            may_leave=not self._running and self._outbox.fits_in_one_sync,
            should_sleep=now >= self._sleep_at() and not self._due_claim(now),
        )

    def _is_lingering(self, now: float) -> bool:
        """Whether outcomes wait for those of functions that are about to end."""
        may_wait = self._outbox and self._running and self._outbox.fits_in_one_sync
        has_free_slots = self._claims.free(len(self._running)) > 0
        return bool(may_wait) and self._pacing.is_lingering(now, has_free_slots=has_free_slots)

    def _due_claim(self, now: float) -> int:
        is_joining = self._member.phase == "joining"
        if self._member.phase != "up" and not is_joining:
            return 0
        if is_joining and self._parts.combining.can_combine:  # a join that is posted claims nothing
            return 0
        has_outcomes = bool(self._outbox)
        return self._claims.due(len(self._running), now, has_outcomes=has_outcomes)

    def _due_prefetch(self, free: int, now: float) -> int:
        if self._member.phase != "up":
            return 0
        return self._claims.due_prefetch(free, len(self._running), self._parts.held_bytes, now)

    def due_withdrawal(self, now: float) -> int | None:
        """How many of the steps that wait to keep; a draining pod keeps none."""
        if self._member.phase == "draining":
            due = not self._has_withdrawn
            self._has_withdrawn = True
            return 0 if due else None
        return self._claims.due_withdrawal(len(self._running), self._parts.held_bytes, now)

    def _sleep_at(self) -> float:
        idle = self._member.phase == "up" and not self._running and not self._outbox
        may_sleep = idle and not self._leading.must_watch
        return self._idle.sleep_at() if may_sleep else math.inf

    def next_at(self) -> float:
        """When the next plan is due if nothing happens before."""
        local = self._held.first_deadline
        if self._member.phase == "draining" and self._running:
            local = min(local, self._member.drain_until)
        if self._member.phase != "draining" and len(self._running) > self._claims.slots:
            local = min(local, self._prefetch.next_check)
        return min(local, max(self._backoff.retry_at, self._next_call_at()))

    def _next_call_at(self) -> float:
        """When the next call of the store is due."""
        if self._requests.pending is not None or self._member.phase == "joining":
            return self._backoff.retry_at
        if self._member.phase == "asleep":
            wake_at = self._idle.wake_at if self._claims.free(0) else math.inf
            firing_at = self._parts.firing.due_at("asleep")
            return min(self._idle.next_poll, wake_at, self._idle.leader_check_at, firing_at)
        times = [self._member.next_heartbeat if self._member.has_joined else math.inf]
        if self._member.phase == "up":
            firing_at = self._parts.firing.due_at("up")
            times += [self._leading.next_recovery, self._sleep_at(), firing_at]
        if self._requests.must_confirm:
            times.append(self._backoff.retry_at)
        if self._outbox:
            times.append(self._pacing.linger_until or self._backoff.retry_at)
        elif self._member.phase == "up":
            if self._claims.free(len(self._running)):
                times.append(self._claims.next_claim)
            if self._may_poll():
                times.append(self._idle.next_poll)
        return min(times)

    def due_leader_check(self, now: float) -> bool:
        """A sleeping pod checks that another leads, so that dead pods' steps are recovered."""
        at = max(self._idle.leader_check_at, self._backoff.retry_at)
        return self._member.phase == "asleep" and now >= at

    def due_firing(self, now: float) -> bool:
        """Whether to fire schedules now."""
        at = max(self._parts.firing.due_at(self._member.phase), self._backoff.retry_at)
        if now < at:
            return False
        self._parts.firing.on_begun()
        return True

    def due_poll(self, request: SyncRequest | None, now: float) -> bool:
        """Poll before a claim that may find nothing, so that later submissions show as a change;
        and, between claims, at the store's poll interval, or ever more rarely while asleep."""
        if now < max(self._idle.next_poll, self._backoff.retry_at):
            return False
        if self._member.phase == "asleep":
            self._idle.schedule_sleep_poll(now)
            return self._claims.free(0) > 0
        claims = (
            self._idle.writes_are_billed
            and request is not None
            and request.claim > 0
            and not self._running
        )
        due = self._may_poll() or claims
        if due:
            self._idle.schedule_poll(now)
        return due

    def _may_poll(self) -> bool:
        """Whether the pod would claim if it knew that a step is available."""
        could_claim = self._member.phase == "up" and self._claims.free(len(self._running)) > 0
        return self._idle.may_poll and could_claim and not self._claims.has_backlog

    def has_looked(self, now: float, routes: Routes) -> bool:
        """Whether the pod by hand would hold more steps that these routes serve if the store had
        any: nothing that may claim one is under way or due."""
        phase, claims = self._member.phase, self._parts.by_hand
        assert claims is not None
        if phase not in ("up", "asleep") or self._requests.pending is not None:
            return False
        has_outcomes = bool(self._outbox)
        is_due = claims.is_due(routes, len(self._running), now, has_outcomes=has_outcomes)
        polls = self._idle.writes_are_billed and (phase == "asleep" or self._may_poll())
        polls = polls and now >= self._idle.next_poll
        return not is_due and not polls and now >= self._backoff.retry_at
