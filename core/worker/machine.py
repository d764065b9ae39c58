"""The pod as a state machine: given the time and what happened, it decides what is due next.

It does nothing itself. A shell calls :meth:`PodMachine.plan`, carries the plan out, and reports the
result (``on_synced``, ``on_store_unavailable``, ``on_incarnation_ended``) and the functions that
have ended (``finished``). Times are seconds on one monotonic clock of the shell's choice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from fleet_q.core.firing import FiringStats
from fleet_q.core.pod import Join, Leave, Pod, PodCommand, PodDescription, Sleep
from fleet_q.core.ports import PodList, StoreTraits, SyncRequest, SyncResult
from fleet_q.core.retry import RetryPolicy
from fleet_q.core.routing import Routes, to_everywhere
from fleet_q.core.settings import PodSettings
from fleet_q.core.silence import SilenceTracker
from fleet_q.core.sizes import sizes_of
from fleet_q.core.step import Fail, Outcome, Release, Step
from fleet_q.core.worker.attempts import Attempts
from fleet_q.core.worker.claim_schedule import SHORTEST_CLAIM_WAIT
from fleet_q.core.worker.combining import MANY_PODS
from fleet_q.core.worker.membership import Phase
from fleet_q.core.worker.pacing import is_representative
from fleet_q.core.worker.parts import PodParts
from fleet_q.core.worker.plan import Plan
from fleet_q.core.worker.reads import Reads
from fleet_q.core.worker.schedule import Schedule

_PLAIN: Final = StoreTraits()


class PodMachine:
    """One pod, from joining to leaving.

    ``new_id`` makes incarnations and claim tokens, ``chance`` draws numbers in [0, 1), ``traits``
    describes the store. If the shell sets ``records_starts``, the leader can tell which of a dead
    pod's steps began, so steps on their last try may be prefetched.

    With ``most_by_hand``, the pod claims only what its callers want (:meth:`want`), and they hold
    at most so many steps. ``routes`` returns which steps the pod may take now, ``describe`` what it
    tells the fleet when it joins.
    """

    def __init__(
        self,
        pod_id: str,
        settings: PodSettings,
        *,
        new_id: Callable[[], str],
        chance: Callable[[], float],
        traits: StoreTraits = _PLAIN,
        most_by_hand: int | None = None,
        routes: Callable[[], Routes] = to_everywhere,
        describe: Callable[[], PodDescription | None] = lambda: None,
    ) -> None:
        self.pod_id = pod_id
        self.settings = settings
        self.records_starts = False
        self.retry_policy = RetryPolicy(
            settings.retry_base_delay,
            settings.retry_max_delay,
            chance,
            max_snoozes=settings.max_snoozes,
        )
        self._chance = chance
        parts = PodParts(
            pod_id,
            settings,
            traits,
            new_id=new_id,
            chance=chance,
            most_by_hand=most_by_hand,
            routes=routes,
            describe=describe,
        )
        self._by_hand = parts.by_hand
        self._schedule = Schedule(parts)
        self._member = parts.member
        self._pacing = parts.pacing
        self._combines = traits.combines
        self.combining = parts.combining
        self._prefetch = parts.prefetch
        self._claims = parts.claims
        self._idle = parts.idle
        self._leading = parts.leading
        self._firing = parts.firing
        self._held = parts.held
        self._running = parts.held.by_id
        self._outbox = parts.outbox
        self._requests = parts.requests
        self._backoff = parts.backoff
        self._attempts = Attempts(parts, self.retry_policy)
        self.finished: Callable[[Outcome], bool] = self._attempts.finished
        """Report that a function has ended; see :meth:`Attempts.finished`."""
        self._reads = Reads(parts, settings, chance, traits)
        self._confirmed: float | None = None  # the steps that wait may begin until then

    @property
    def phase(self) -> Phase:
        """Where the pod stands between joining and leaving."""
        return self._member.phase

    @property
    def incarnation(self) -> str:
        """The id of the pod's present life, under which it claims."""
        return self._member.incarnation

    @property
    def has_left(self) -> bool:
        """False if the pod is gone and the store may still count it as living."""
        return self._member.has_left

    @property
    def silence(self) -> SilenceTracker:
        """Measures for how long each pod has been silent."""
        return self._leading.silence

    @property
    def running(self) -> int:
        """How many steps the pod holds, their functions running or about to."""
        return len(self._running)

    @property
    def slots(self) -> int:
        """How many functions of the pod run at once, or how many steps its callers hold."""
        return self._claims.slots

    @property
    def change_counter(self) -> int | None:
        """The store's change counter, as the pod has read it last; ``None``: it has not yet."""
        return self._idle.change_counter

    @property
    def sync_took(self) -> float:
        """Seconds that the last sync took."""
        return self._pacing.sync_took

    @property
    def sync_waited(self) -> float:
        """About how many seconds of that it waited for a lock."""
        return self._pacing.waited

    @property
    def failing_for(self) -> float:
        """Seconds for which the store has carried out nothing for this pod."""
        return self._backoff.failing_for

    @property
    def should_give_up(self) -> bool:
        """Whether that is ``store_give_up_after``, so that the pod has to stop."""
        return self._backoff.should_give_up

    @property
    def kept(self) -> Collection[str]:
        """The ids of the steps of which the store refuses every outcome."""
        return self._requests.kept

    @property
    def trouble(self) -> str | None:
        """What the pod cannot get its store to do, or ``None``."""
        kept = ", ".join(map(repr, sorted(self.kept)))
        if kept:
            return f"the store refuses every outcome of {kept}: claimed until this pod leaves"
        if self._leading.trouble is not None:
            return f"steps of dead pods are not recovered: {self._leading.trouble}"
        return None

    def plan(self, now: float) -> Plan:
        """What is due at ``now``. The shell carries it out; the next plan does not repeat it."""
        self._attempts.expire(now, is_over=self._member.is_drain_over(now))
        if self.phase == "draining" and not self._member.has_joined and not self._has_work():
            self._member.phase = "gone"
        self._claims.restore_slots(now)
        keep = self._schedule.due_withdrawal(now)
        begin_by, self._confirmed = self._confirmed, None
        abandon = self._attempts.take_abandoned()
        recover = self._due_recovery(now)
        request = self._schedule.due_sync(now, records_starts=self.records_starts)
        poll = self._schedule.due_poll(request, now)
        return Plan(
            abandon=abandon,
            begin_by=begin_by,
            keep=keep,
            gone=self.phase == "gone",
            recover=recover,
            prune=recover and self._leading.due_prune(now),
            fire=self._schedule.due_firing(now),
            check_leader=self._schedule.due_leader_check(now),
            poll=poll,
            request=request,
            next_at=now if request is not None else self._schedule.next_at(),
        )

    def want(self, steps: Mapping[Routes, int]) -> None:
        """The callers of a pod by hand want so many steps that these routes serve."""
        assert self._by_hand is not None
        self._by_hand.wanted = steps

    def look(self, routes: Routes) -> None:
        """Look now for the steps that are wanted of these routes. Where writes are billed, and the
        last claim found too few, look first whether the change counter has changed since."""
        timing = self._claims.timing_of(routes)
        if self._idle.relies_on_polls and not timing.has_backlog:
            self._idle.poll_now()
        else:
            timing.claim_now()
        if self.phase == "asleep":
            self._idle.wake_at = min(self._idle.wake_at, timing.due_at)

    def has_looked(self, now: float, routes: Routes) -> bool:
        """Whether the store has been asked for the steps of these routes, and had no more."""
        return self._schedule.has_looked(now, routes)

    def begin_by(self, now: float) -> float:
        """Until when a step whose claim stood at ``now`` may begin without confirmation."""
        return now + self._prefetch.reliance

    def must_confirm(self) -> None:
        """A step has waited past its ``begin_by``: confirm its claim with the next sync."""
        self._requests.must_confirm = True

    def report_progress(self, step_id: str, claim_token: str, progress: str) -> None:
        """A function reports its progress, a JSON text, which the next sync that writes takes
        along. Any thread may call it."""
        self._requests.progress[step_id, claim_token] = progress

    def began(
        self,
        step_id: str,
        claim_token: str,
        timeout: float,
        now: float,
        on_timeout: Fail | None = None,
    ) -> None:
        """A function that may run for ``timeout`` seconds has begun. Functions without a limit
        need not be reported. ``on_timeout`` is the outcome if it runs longer; by default, a failure
        that is retried as the settings say."""
        self._held.began(step_id, claim_token, timeout, now, on_timeout)

    def stuck(self, claims: Sequence[tuple[str, str]], now: float) -> None:
        """Release these steps: they have waited for a claim interval with slots free, because no
        more of their kind can begin here. Claim fewer for a recovery interval."""
        self.withdrawn(claims)
        self._claims.on_stuck(len(self._running), now)

    def withdrawn(self, claims: Iterable[tuple[str, str]]) -> None:
        """Release these steps: their functions have not begun and will not."""
        self._attempts.withdrawn(claims)

    def on_change_counter(self, change_counter: int, now: float) -> bool:
        """The store's change counter, as read at ``now``. True if it has changed: there may be
        work, and a new plan is needed."""
        return self._reads.on_change_counter(change_counter, now)

    def on_pods(self, pods: PodList, now: float) -> bool:
        """All pods, as read at ``now``. A sleeping pod wakes if none that is awake leads. True if
        it does, and a new plan is needed."""
        return self._reads.on_pods(pods, now)

    def silent(self, pods: PodList, now: float) -> list[Pod]:
        """The pods to declare dead, given all pods as read at ``now``."""
        self._reads.observe(pods, now)
        return self._leading.silent(now)

    def on_synced(self, request: SyncRequest, result: SyncResult, now: float) -> list[Step]:
        """The store has answered ``request``. Returns the steps to run now."""
        if self.combining.is_posted:
            is_joining = isinstance(request.pod_command, Join)  # all pods join at once
            self._pacing.on_served(now, None if is_joining else result.served_others)
        else:
            self._pacing.on_synced(now, is_representative=is_representative(request, result))
        self.combining.on_answer()
        claimed_sizes = sizes_of([step.payload for step in result.claimed])
        self._prefetch.on_synced(
            self._pacing.sync_took,
            claimed=len(result.claimed),
            payload_size=sum(claimed_sizes),
            recorded=len(request.outcomes),
            result_size=self._outbox.remove(len(request.outcomes)),
        )
        self._backoff.on_answer()
        self._requests.on_synced(len(request.outcomes))
        if request.check_held:
            self._confirmed = self.begin_by(now)
        if result.done and request.pod_command is not None:
            recorded_at = self._pacing.began_at if self._combines else now
            self._on_command_done(request.pod_command, now, recorded_at)
        self._attempts.drop_lost(request, result)
        self._attempts.release_unexpected(result.unexpected)
        self._claims.on_synced(request, result, now, self._idle.next_claim(now))
        self._track_idleness(request, result, now)
        if self.phase in ("draining", "gone"):
            for step in result.claimed:
                self._outbox.add(Release(step.step_id, request.claim_token))
            return []
        if result.claimed and not self._running:
            self._prefetch.on_first_claimed(now)
        self._attempts.add(result.claimed, request.claim_token, claimed_sizes)
        return list(result.claimed)

    def on_store_unavailable(self, now: float, *, contended: bool = False) -> float:
        """The store did not answer, or rejected the request because it is ``contended``. Returns
        the seconds after which the next sync is due: the same request again, unless the store
        cannot have done any of it."""
        member = self._member
        if contended:
            self._pacing.on_rejected()
            wait = self._backoff.on_contended(
                now,
                self._pacing.queue_duration,
                must_watch=self._leading.must_watch,
                drain_until=member.drain_until if member.phase == "draining" else None,
            )
            if not self.combining.is_posted:
                self._requests.on_contended()
            if self.phase == "asleep" and self._reads.sleepers:
                self._idle.wake_at = self._pacing.claim_at(
                    now, self._chance, pods=self._reads.sleepers
                )
        else:
            wait = self._backoff.on_unavailable(now)
        if member.is_drain_over(now):
            member.give_up(has_work=self._has_work())
        return wait

    def due_heartbeat(self, now: float) -> SyncRequest | None:
        """The heartbeat that is due while another request is under way, or ``None``. None is sent
        while the pod falls asleep or leaves: it would wake the pod, or come after its end."""
        member, pending = self._member, self._requests.pending
        if now < member.next_heartbeat or not member.is_awake_in_store:
            return None
        if pending is not None and isinstance(pending.pod_command, Sleep | Leave):
            return None
        return SyncRequest(member.pod_id, member.incarnation, member.heartbeat())

    def on_heartbeat(self, now: float) -> None:
        """The store has recorded the heartbeat that was sent at ``now``."""
        self._backoff.on_answer()
        self._on_command_done(self._member.heartbeat(), now, now)

    def is_refusal(self) -> bool:
        """The store answered the pending request with an unknown error. True if it did so often
        enough that the error counts as a refusal of the request."""
        return self._backoff.is_refusal()

    def refused(self, error: str) -> bool:
        """The store refuses the request for good: repeat it without its outcomes.

        The outcomes follow in smaller syncs until the refused one has been found. False if the
        request has none, so nothing can be left out.
        """
        self.combining.on_given_up()
        return self._requests.on_refused(error)

    def last_requests(self) -> list[SyncRequest]:
        """End the pod now: the requests that record its outcomes, release all that it holds, and
        leave. Each is to be sent once."""
        self._member.phase = "gone"
        return self._requests.last()

    def must_declare(self) -> None:
        """The pod has schedules of its code to put."""
        self._firing.must_declare = True

    def on_fired(self, stats: FiringStats, error: Exception | None, now: float) -> None:
        """The due schedules have fired, or the error ended it. Claim if there are new steps."""
        if error is not None or stats.failed:
            self._firing.on_failed(now)
        else:
            self._firing.observe(stats.next_firing, stats.at, now)
        if stats.submitted:
            self.work_arrived()

    def on_recovery_ended(
        self, now: float, trouble: str | None = None, *, was_unavailable: bool = False
    ) -> None:
        """A recovery cycle has ended, by the error ``trouble`` unless that is ``None``."""
        self._leading.on_recovery_ended(now, trouble, was_unavailable=was_unavailable)

    def on_prune_ended(self, *, was_unavailable: bool) -> None:
        """A prune has ended."""
        self._leading.on_prune_ended(was_unavailable=was_unavailable)

    def on_incarnation_ended(self) -> None:
        """The store no longer counts this incarnation as living: join as a new one.

        Outcomes of running functions are still recorded if no leader has recovered their steps
        yet; the first heartbeat tells which claims still stand.
        """
        self._requests.on_incarnation_ended()
        self.combining.on_answer()
        self._backoff.on_answer()
        self._member.begin_incarnation()
        self._claims.claim_now()

    def work_arrived(self) -> None:
        """A step was submitted through this pod: claim now rather than at the next interval."""
        self._claims.claim_now()
        self._idle.wake_at = -math.inf

    def drain(self, now: float, grace: float | None = None) -> None:
        """Stop claiming, let functions end within ``grace`` seconds, release the rest, leave."""
        self._member.begin_drain(now, self.settings.shutdown_grace if grace is None else grace)

    def _has_work(self) -> bool:
        return bool(self._running or self._outbox or self._requests.pending)

    def _due_recovery(self, now: float) -> bool:
        at = max(self._leading.next_recovery, self._backoff.retry_at)
        if self.phase != "up" or now < at:
            return False
        if self._leading.begin_recovery(now):
            self._member.next_heartbeat = min(self._member.next_heartbeat, now)
        return True

    def _on_command_done(self, pod_command: PodCommand, now: float, recorded_at: float) -> None:
        """A command was carried out. It counts as a heartbeat of the time ``recorded_at``: where
        heartbeats wait for no lock, the store records them when they are sent, and may answer
        much later."""
        was_asleep = self.phase == "asleep"
        self.silence.on_heartbeat(recorded_at)
        self._member.on_command_done(pod_command, recorded_at)
        if isinstance(pod_command, Join):
            self._pacing.on_joined()
        is_asleep = self.phase == "asleep"
        if was_asleep and not is_asleep:
            self._idle.on_awake(now)
        elif is_asleep and not was_asleep:
            self._idle.on_asleep(now)
            self._wake_for_claim()

    def _wake_for_claim(self) -> None:
        """Wake when a claim is due: for other routes, or because the change counter has changed
        while the sync was under way."""
        if self.phase == "asleep":
            self._idle.wake_at = min(self._idle.wake_at, self._claims.next_claim)

    def _track_idleness(self, request: SyncRequest, result: SyncResult, now: float) -> None:
        if self._running or self._outbox or result.claimed or self._claims.has_backlog:
            self._idle.on_work()
        elif request.claim:
            self._firing.observe(result.next_firing, result.at, now)
            is_one_of_many = self._reads.sleepers > MANY_PODS
            self._idle.on_nothing_claimed(result, now, looks_again=not is_one_of_many)
            self._claims.claim_by(max(self._idle.wake_at, now + SHORTEST_CLAIM_WAIT))
            self._wake_for_claim()
