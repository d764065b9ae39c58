"""The pod as a machine: given the time and what happened, it says what is due next.

It does nothing itself. A shell asks :meth:`PodMachine.plan`, carries the plan out, and tells the
machine what came of it (``on_synced``, ``on_store_unavailable``, ``on_incarnation_ended``) and
which functions finished
(``finished``). All times here are seconds on one monotonic clock of the shell's choosing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import msgspec

from fleet_q.core import pruning
from fleet_q.core.capacity import slots
from fleet_q.core.leadership import is_led
from fleet_q.core.pod import Drain, Join, Leave, Pod, PodCommand, SendHeartbeat, Sleep
from fleet_q.core.ports import PodList, StoreTraits, SyncRequest, SyncResult
from fleet_q.core.retry import MICROS, RetryPolicy, backoff, micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.silence import SilenceTracker, longest_gap
from fleet_q.core.step import Fail, Outcome, Release, Step
from fleet_q.core.worker.claims import HeldClaims
from fleet_q.core.worker.idle import IdleTracker
from fleet_q.core.worker.outbox import MOST_OUTCOMES, Outbox
from fleet_q.core.worker.pacing import ClaimPacing
from fleet_q.core.worker.prefetch import PREFETCH_BYTES, Prefetch
from fleet_q.core.worker.refusals import Refusals

MOST_HELD_BYTES: Final = 2 * PREFETCH_BYTES
"""Characters of payloads and results, about, beyond which a pod lets no more steps wait: those were
claimed before it was known how large the results are."""

STORE_RETRY_BASE: Final = 0.05
STORE_RETRY_CAP: Final = 5.0
"""Seconds to wait before a store is asked again that did not answer: the quickstart's backoff
(50 ms, doubled each time), at most 5 s, and half a heartbeat interval: pods have to be heard of
soon after the store is back."""

LONGEST_CONTENDED: Final = 10.0
"""Seconds to wait at most where too many wait already: if it were longer, who was turned away often
would be overtaken by all who come new."""

LONGEST_WATCHING: Final = 2.0
"""The same for the one pod that is to declare others dead. It has to be heard of at least every
half threshold, and its turn may have to wait behind as many others as the store lets wait."""

SHORTEST_CLAIM_WAIT: Final = 0.001
"""Seconds to wait at least for a step that falls due, lest a hair's breadth of clock be polled."""

Phase = Literal["joining", "up", "asleep", "draining", "gone"]


_PLAIN: Final = StoreTraits()


class Plan(msgspec.Struct, frozen=True):
    """What is due now: first ``abandon`` the functions of these claims (step id and claim token);
    then let what waits begin until ``begin_by``, if that is not ``None``; then ``keep`` only so
    many of the steps that wait, the first in claim order, and tell :meth:`PodMachine.withdrawn` of
    the others (``None``: keep all). Then ``look`` at the fleet, ``listen`` to the store's bell, and
    do the ``sync``; whether a recovery cycle, and a prune after it, should begin; and
    ``look_again``, the time to ask anew if nothing happens."""

    request: SyncRequest | None
    abandon: tuple[tuple[str, str], ...]
    begin_by: float | None
    keep: int | None
    poll: bool
    recover: bool
    prune: bool
    look: bool
    look_again: float
    gone: bool


class PodMachine:
    """One pod, from joining to leaving.

    ``new_id`` makes incarnations and claim tokens, ``chance`` draws numbers in [0, 1),
    ``manners`` says what is to be known of the store. ``records_starts``: after its death it will
    be known which steps began, so those on their last try may be prefetched.
    """

    def __init__(
        self,
        pod_id: str,
        settings: PodSettings,
        *,
        new_id: Callable[[], str],
        chance: Callable[[], float],
        traits: StoreTraits = _PLAIN,
    ) -> None:
        self.pod_id = pod_id
        self.settings = settings
        self.phase: Phase = "joining"
        self.has_left = True
        """False once it is gone without the store having confirmed that it left: for all the store
        knows, it may be living."""
        self.records_starts = False
        self.incarnation = new_id()
        self._new_id = new_id
        self._chance = chance
        self.retry_policy = RetryPolicy(settings.retry_base_delay, settings.retry_max_delay, chance)
        self._pacing = ClaimPacing(traits)
        self._prefetch = Prefetch(settings.prefetch, settings.claim_interval)
        self._idle = IdleTracker(settings, traits)
        dead_after = settings.dead_pod_threshold
        gap = longest_gap(settings.heartbeat_interval, dead_after)
        self.silence = SilenceTracker(dead_after, gap)
        self._must_watch = False  # it would lead, and a pod is missed
        self._slots = slots(settings.max_parallelism, settings.capacity_threshold)
        self._usable = self._slots  # fewer while steps of a kind cannot begin
        self._use_all_at = math.inf
        self._held = HeldClaims()
        self._running = self._held.by_id
        self._outbox = Outbox()
        self._abandon: list[tuple[str, str]] = []
        self._request: SyncRequest | None = None  # sent, and not answered yet
        self._must_confirm = False  # a step that waits may only begin once its claim is confirmed
        self._confirmed: float | None = None  # until when what waits may begin, to be told
        self._failures = 0
        self._was_rejected = False  # a heartbeat was turned away with what it came with
        self._refusals = Refusals(MOST_OUTCOMES)
        self._ask_after = -math.inf  # the store is left alone until then
        self._backlog = True  # the last claim was filled, so more may be waiting
        self._may_prefetch = True
        self._next_claim = -math.inf
        self._next_heartbeat = -math.inf
        self._next_recovery = -math.inf
        self._next_prune = -math.inf
        self._joined = False  # the store has taken this incarnation in
        self._drain_announced = False
        self._withdrawn = False  # what had not begun when the pod began to drain
        self._drain_until = 0.0

    @property
    def running(self) -> int:
        """How many steps it holds, their functions running or about to."""
        return len(self._running)

    @property
    def trouble(self) -> str | None:
        """What the pod cannot get its store to accept, if there is anything."""
        kept = ", ".join(map(repr, sorted(self._refusals.kept)))
        if not kept:
            return None
        return f"the store refuses every outcome of {kept}: claimed until this pod leaves"

    def plan(self, now: float) -> Plan:
        """What is due at ``now``, to be carried out: what one plan says, the next one does not."""
        self._expire(now)
        if self.phase == "draining" and not self._joined and not self._has_work():
            self.phase = "gone"
        if now >= self._use_all_at:
            self._usable, self._use_all_at = self._slots, math.inf
        keep = self._due_withdrawal(now)
        begin_by, self._confirmed = self._confirmed, None
        abandon, self._abandon = tuple(self._abandon), []
        recover = self._due_recovery(now)
        request = self._due_sync(now)
        poll = self._due_poll(request, now)
        prune = recover and self._due_prune(now)
        look = self._due_look(now)
        look_again = now if request is not None else self._look_again()
        gone = self.phase == "gone"
        return Plan(request, abandon, begin_by, keep, poll, recover, prune, look, look_again, gone)

    def begin_by(self, now: float) -> float:
        """Until when a step may begin without another look at its claim, which stood at ``now``."""
        return now + self._prefetch.horizon

    def must_confirm(self) -> None:
        """A step has waited for so long that its claim may not stand any more."""
        self._must_confirm = True

    def began(self, step_id: str, claim_token: str, timeout: float, now: float) -> None:
        """A function that may run for ``timeout`` seconds begins to. Those that may run for ever
        need not be told of."""
        self._held.began(step_id, claim_token, timeout, now)

    def finished(self, outcome: Outcome) -> bool:
        """A function has ended. False if its step was abandoned and nobody waits for it."""
        held = self._running.get(outcome.step_id)
        if held is None or held.claim_token != outcome.claim_token:
            return False
        del self._running[outcome.step_id]
        self._held.size -= held.size
        self._outbox.add(outcome)
        self._prefetch.ended += 1
        if self._usable < self._slots:
            self._usable += 1
        return True

    def stuck(self, claims: Sequence[tuple[str, str]], now: float) -> None:
        """These steps have waited for a claim interval though there were slots, since nothing more
        of their kind can begin here. They are released, and no more are claimed than run until
        some end or a recovery interval has passed."""
        self.withdrawn(claims)
        self._usable = max(1, len(self._running))
        self._use_all_at = now + self.settings.recovery_interval

    def withdrawn(self, claims: Iterable[tuple[str, str]]) -> None:
        """These steps wait no longer, as the plan asked for; they are released."""
        for claim in claims:
            self._prefetch.ended -= self.finished(Release(*claim))

    def on_change_counter(self, change_counter: int, now: float) -> bool:
        """The store's bell, as it was asked for at ``now``. If it has rung, there may be work; true
        if so, and then something else may be due than was planned."""
        if not self._idle.has_changed(change_counter):
            return False
        claim_at = self._pacing.claim_at(now, self._chance) if self._idle.writes_are_billed else now
        if self.phase == "asleep":
            self._idle.wake_at = min(self._idle.wake_at, claim_at)
        else:
            self._next_claim = min(self._next_claim, claim_at)
        return True

    def on_pods(self, fleet: PodList, now: float) -> bool:
        """The pods, as they were asked for at ``now``. If none that is awake leads them, a sleeper
        wakes to do so; true if so, as in :meth:`heard`."""
        self._idle.looks(now)
        self._observe(fleet, now)
        dead_after = micros(self.settings.dead_pod_threshold)
        if self.phase != "asleep" or is_led(fleet.pods, fleet.at, dead_after):
            return False
        self.phase = "up"
        self._idle.on_awake(now)
        self._idle.stay_awake(now + self.silence.detection_time)
        self._next_claim = self._next_heartbeat = self._next_recovery = -math.inf
        return True

    def silent(self, fleet: PodList, now: float) -> list[Pod]:
        """The pods to declare dead, given all of them as they were asked for at ``now``."""
        self._observe(fleet, now)
        self._next_recovery = min(self._next_recovery, self.silence.next_due(now))
        return self.silence.silent()

    def on_synced(self, request: SyncRequest, answer: SyncResult, now: float) -> list[Step]:
        """The store has done ``sync``. The steps to run now."""
        self._request = None
        self._pacing.on_synced(now, is_representative=_is_representative(request, answer))
        claimed_size = sum([len(step.payload) for step in answer.claimed])
        self._prefetch.on_synced(
            self._pacing.sync_took,
            len(answer.claimed),
            claimed_size,
            len(request.outcomes),
            self._outbox.remove(len(request.outcomes)),
        )
        self._failures = 0
        self._was_rejected = False
        self._refusals.accepted(len(request.outcomes))
        if request.check_held:
            self._confirmed = self.begin_by(now)
        if answer.done:
            self._on_command_done(request.pod_command, now)
        checked = dict(request.check_held)
        for step_id in answer.lost:
            held = self._running.get(step_id)
            if held is not None and held.claim_token == checked.get(step_id):
                self._held.drop(step_id)
                self._abandon.append((step_id, held.claim_token))
        if request.claim:
            self._backlog = answer.more or len(answer.claimed) >= request.claim
            # Steps that may not be prefetched go first, as soon as there are slots for them.
            self._may_prefetch = not (answer.more and request.prefetch)
            self._next_claim = self._idle.next_claim(now)
        elif request.outcomes:
            self._next_claim = min(self._next_claim, now + self.settings.claim_interval)
        waits = [o.retry_delay for o in request.outcomes if isinstance(o, Fail) and not o.permanent]
        if answer.next_due is not None:
            waits.append(answer.next_due - answer.at)
        if waits:
            wait = max(min(waits) / MICROS, SHORTEST_CLAIM_WAIT)
            self._next_claim = min(self._next_claim, now + wait)
        self._track_idleness(request, answer, now)
        if self.phase in ("draining", "gone"):
            for step in answer.claimed:
                self._outbox.add(Release(step.step_id, request.claim_token))
            return []
        if answer.claimed and not self._running:
            self._prefetch.begins(now)
        self._abandon += self._held.add(answer.claimed, request.claim_token, claimed_size)
        return list(answer.claimed)

    def on_store_unavailable(self, now: float, *, contended: bool = False) -> float:
        """The store did not answer, or is ``crowded``; a turn is due again after the seconds
        returned: the same, unless nothing of it can have been done."""
        self._failures += 1
        chance = self._chance()
        cap = min(STORE_RETRY_CAP, self.settings.heartbeat_interval / 2)
        wait = backoff(self._failures, STORE_RETRY_BASE, cap, chance)
        if contended:
            self._pacing.on_rejected()
            queue = min(LONGEST_CONTENDED, self._pacing.queue_duration)
            wait = min(queue, self.settings.heartbeat_interval) * chance
            if self._must_watch:  # without its heartbeats, nobody who died is declared dead
                wait = min(wait, LONGEST_WATCHING * chance)
            if self.phase == "draining":  # what it has done should count, so it comes some times
                wait = max(min(wait, (self._drain_until - now) / 4), STORE_RETRY_BASE)
            if self._request is not None and not self._request.is_retry:
                self._was_rejected = isinstance(self._request.pod_command, SendHeartbeat)
                self._must_confirm = self._must_confirm or bool(self._request.check_held)
                self._request = None  # nothing of it was done, and by then there may be less to do
        if self.phase == "draining" and now >= self._drain_until:
            self.phase = "gone"  # the grace is over and so is the pod; its steps will be recovered
            self.has_left = not self._joined and not self._has_work()
        self._ask_after = now + wait
        return wait

    def refused(self, error: str) -> bool:
        """The store refuses the turn for good. What it asks for is asked for again without the
        outcomes, and these come in smaller turns afterwards, until the one that is refused has
        been found; false if there were none, and so nothing can be left out."""
        request = self._request
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
            pod_command = SendHeartbeat(self.pod_id, self.incarnation) if self._joined else None
        if pod_command is None and not request.claim:
            self._must_confirm = self._must_confirm or bool(request.check_held)
            self._request = None
        else:
            self._request = msgspec.structs.replace(request, pod_command=pod_command, outcomes=())
        return True

    def last_requests(self) -> list[SyncRequest]:
        """The pod ends now: what is left to tell the store, each turn by itself. All that it holds
        is released, and it leaves."""
        batches = self._outbox.take_all(Release(*claim) for claim in self._held.pairs())
        self._request = None
        self._held.clear()
        self.phase = "gone"
        requests = [SyncRequest(self.pod_id, self.incarnation, outcomes=batch) for batch in batches]
        leave = Leave(self.pod_id, self.incarnation)
        return [*requests, SyncRequest(self.pod_id, self.incarnation, leave)]

    def on_incarnation_ended(self) -> None:
        """The store no longer counts this incarnation as living: join as a new one.

        What runs may still be acknowledged if no leader has taken it yet; the first heartbeat
        tells which claims still stand.
        """
        self._request = None
        self._failures = 0
        self._joined = False
        self._refusals.kept.clear()  # the leader recovers them
        if self.phase in ("up", "asleep"):
            self.phase = "joining"
            self._next_claim = -math.inf  # who slept may have been called
        self.incarnation = self._new_id()

    def work_arrived(self) -> None:
        """Somebody here submitted a step: claim now rather than at the next interval."""
        self._next_claim = -math.inf
        self._idle.wake_at = -math.inf

    def drain(self, now: float, grace: float | None = None) -> None:
        """Stop claiming, finish what runs within ``grace`` seconds, release the rest, leave."""
        grace = self.settings.shutdown_grace if grace is None else grace
        if self.phase in ("joining", "up", "asleep"):
            self.phase = "draining"
            self._drain_until = now + grace
        else:
            self._drain_until = min(self._drain_until, now + grace)

    def _expire(self, now: float) -> None:
        for step_id, held in self._held.expired(now):
            error = f"TimeoutError: ran longer than {held.timeout:g} s"
            self._give_up(self.retry_policy.fail(step_id, held.claim_token, held.attempt, error))
        if self.phase == "draining" and now >= self._drain_until:
            for claim in self._held.pairs():
                self._give_up(Release(*claim))

    def _give_up(self, outcome: Outcome) -> None:
        self.finished(outcome)
        self._abandon.append((outcome.step_id, outcome.claim_token))

    def _has_work(self) -> bool:
        return bool(self._running or self._outbox or self._request)

    def _due_sync(self, now: float) -> SyncRequest | None:
        if self.phase == "gone" or now < self._ask_after:
            return None
        if self._request is not None:
            self._pacing.sent(now)
            self._request = msgspec.structs.replace(self._request, is_retry=True)
            return self._request
        if self.phase == "asleep":
            return self._due_wake(now)
        pod_command = self._due_command(now)
        confirm = self._must_confirm and bool(self._running)
        self._must_confirm = confirm
        if pod_command is None and not confirm and self._is_lingering(now):
            return None
        outcomes = self._outbox.batch(self._refusals.most)
        claim, prefetch = self._due_claim(now), 0
        if pod_command is None and not confirm and not outcomes and not claim:
            return None
        if self._was_rejected and isinstance(pod_command, SendHeartbeat):
            outcomes, claim = (), 0  # alone it needs no lock that all wait for
        elif outcomes and self._refusals.is_searching:
            claim = 0
            if isinstance(pod_command, Leave):
                pod_command = None
            if pod_command is not None:
                outcomes = ()
        else:
            prefetch = self._due_prefetch(claim, now)
            claim += prefetch
        checks = confirm or isinstance(pod_command, SendHeartbeat | Join)
        self._must_confirm = False
        self._pacing.sent(now)
        self._request = SyncRequest(
            pod_id=self.pod_id,
            incarnation=self.incarnation,
            pod_command=pod_command,
            outcomes=outcomes,
            claim=claim,
            claim_token=self._new_id() if claim else "",
            prefetch=prefetch,
            check_held=self._held.pairs() if checks else (),
            records_starts=self.records_starts,
        )
        return self._request

    def _due_wake(self, now: float) -> SyncRequest | None:
        """Who sleeps wakes only if there is a step: to look whether there is one costs no write."""
        if now < self._idle.wake_at:
            return None
        self._pacing.sent(now)
        self._request = SyncRequest(
            self.pod_id,
            self.incarnation,
            SendHeartbeat(self.pod_id, self.incarnation),
            claim=self._slots,
            claim_token=self._new_id(),
            only_if_claimable=True,
        )
        return self._request

    def _due_command(self, now: float) -> PodCommand | None:
        if self.phase == "joining":
            return Join(self.pod_id, self.incarnation)
        if not self._joined:  # only outcomes can be said by who has not joined
            return None
        if self.phase == "draining" and not self._running and self._outbox.fits_in_one_sync:
            return Leave(self.pod_id, self.incarnation)
        if self.phase == "draining" and not self._drain_announced:
            return Drain(self.pod_id, self.incarnation)
        if now >= self._sleep_at() and not self._due_claim(now):
            return Sleep(self.pod_id, self.incarnation)
        if now >= self._next_heartbeat:
            return SendHeartbeat(self.pod_id, self.incarnation)
        return None

    def _is_lingering(self, now: float) -> bool:
        """Whether what has ended should wait for what is about to."""
        may_wait = self._outbox and self._running and self._outbox.fits_in_one_sync
        return bool(may_wait) and self._pacing.is_lingering(now)

    def _due_claim(self, now: float) -> int:
        if self.phase not in ("joining", "up"):
            return 0
        free = self._usable - len(self._running)
        return max(0, free) if self._backlog or now >= self._next_claim else 0

    def _due_prefetch(self, free: int, now: float) -> int:
        """How many steps to claim with a turn that is due, beyond those for the ``free`` slots."""
        is_limited = self._usable < self._slots or not self._may_prefetch
        if self.phase != "up" or not self._backlog or is_limited:
            return 0
        ahead = self._prefetch.ahead(now, self._held.size + self._outbox.size)
        return max(0, self._slots + ahead - len(self._running) - free)

    def _due_withdrawal(self, now: float) -> int | None:
        """Steps that will not begin soon are released, since other pods may have the time for
        them, and so are those that wait while the pod holds too much; how many of those that
        wait to keep."""
        if self.phase == "draining":
            due = not self._withdrawn
            self._withdrawn = True
            return 0 if due else None
        waiting = len(self._running) - self._slots
        expected = self._prefetch.expected(now)
        if waiting > 0 and self._held.size + self._outbox.size > MOST_HELD_BYTES:
            return 0
        return expected if expected is not None and expected < waiting else None

    def _due_recovery(self, now: float) -> bool:
        """A heartbeat goes first if there is a pod to declare dead: if it gets through, that pod
        could have been heard."""
        due = self.phase == "up" and now >= max(self._next_recovery, self._ask_after)
        if due:
            self._next_recovery = now + self.settings.recovery_interval
            should_watch = self.silence.should_watch(self.pod_id, now)
            if should_watch and self.silence.is_any_due(now):
                self._next_heartbeat = min(self._next_heartbeat, now)
        return due

    def _due_prune(self, now: float) -> bool:
        """Only with a recovery cycle, so a pod that sleeps is never woken for it."""
        prune_after = self.settings.prune_after
        if prune_after is None or now < self._next_prune:
            return False
        self._next_prune = now + pruning.interval(prune_after)
        return True

    def _on_command_done(self, pod_command: PodCommand | None, now: float) -> None:
        if pod_command is not None:
            self.silence.on_heartbeat(now)
        match pod_command:
            case None:
                return
            case Join():
                self._joined = True
                self._pacing.joined()
                if self.phase == "joining":
                    self.phase = "up"
            case SendHeartbeat() if self.phase == "asleep":
                self.phase = "up"
                self._idle.on_awake(now)
            case Drain():
                self._drain_announced = True
            case Leave():
                self.phase = "gone"
            case Sleep() if self.phase == "up":
                self.phase = "asleep"
                self._idle.on_asleep(now)
                # the bell may have rung meanwhile
                self._idle.wake_at = min(self._idle.wake_at, self._next_claim)
        self._next_heartbeat = now + self.settings.heartbeat_interval

    # Falling asleep and waking up

    def _observe(self, fleet: PodList, now: float) -> None:
        """While a pod is missed, the one that is to declare it dead does not sleep: who slept would
        have to measure the silence anew."""
        self.silence.on_pods(fleet.pods, now)
        self._must_watch = self.silence.should_watch(self.pod_id, now)

    def _due_look(self, now: float) -> bool:
        """Who sleeps sees to it that somebody looks after what is held."""
        return self.phase == "asleep" and now >= max(self._idle.look_at, self._ask_after)

    def _due_poll(self, request: SyncRequest | None, now: float) -> bool:
        """Before a claim that may find nothing, so that what is submitted after it is heard of;
        and, in between, as often as the store's manners allow."""
        if now < max(self._idle.next_poll, self._ask_after):
            return False
        claims = (
            self._idle.writes_are_billed
            and request is not None
            and request.claim > 0
            and not self._running
        )
        due = self.phase == "asleep" or self._may_poll() or claims
        if due:
            self._idle.schedule_poll(now)
        return due

    def _may_poll(self) -> bool:
        """Whether it would claim if it knew that there is something."""
        could_claim = self.phase == "up" and len(self._running) < self._usable
        return self._idle.may_poll and could_claim and not self._backlog

    def _track_idleness(self, request: SyncRequest, answer: SyncResult, now: float) -> None:
        if self._running or self._outbox or answer.claimed or self._backlog:
            self._idle.on_work()
        elif request.claim:
            self._idle.nothing_claimed(answer, now)
            due = max(self._idle.wake_at, now + SHORTEST_CLAIM_WAIT)
            self._next_claim = min(self._next_claim, due)

    def _sleep_at(self) -> float:
        idle = self.phase == "up" and not self._running and not self._outbox
        may_sleep = idle and not self._must_watch
        return self._idle.sleep_at() if may_sleep else math.inf

    def _look_again(self) -> float:
        here = self._held.first_deadline
        if self.phase == "draining" and self._running:
            here = min(here, self._drain_until)
        if self.phase != "draining" and len(self._running) > self._slots:
            here = min(here, self._prefetch.next_check)
        return min(here, max(self._ask_after, self._ask_again()))

    def _ask_again(self) -> float:
        """When there will be something to ask the store for."""
        if self._request is not None or self.phase == "joining":  # the store is left alone
            return self._ask_after
        if self.phase == "asleep":
            return min(self._idle.next_poll, self._idle.wake_at, self._idle.look_at)
        times = [self._next_heartbeat if self._joined else math.inf]
        if self.phase == "up":
            times += [self._next_recovery, self._sleep_at()]
        if self._must_confirm:
            times.append(self._ask_after)
        if self._outbox:
            times.append(self._pacing.linger_until or self._ask_after)
        elif self.phase == "up":
            if len(self._running) < self._usable:
                times.append(self._next_claim)
            if self._may_poll():
                times.append(self._idle.next_poll)
        return min(times)


def _is_representative(request: SyncRequest, answer: SyncResult) -> bool:
    """Whether how long the turn took says something of the next one: it did not only look, nor
    join, which everybody does at once when a fleet starts."""
    if isinstance(request.pod_command, Join) or not answer.done:
        return False
    return request.pod_command is not None or bool(request.outcomes or answer.claimed)
