"""The pod's loop: it does what the machine says is due, waits, and does it again.

It yields what takes time: calls of the store, and waiting. Who carries these out, in a thread or in
virtual time, interprets the program; one that is killed closes it where it is. Functions are told
of at once, and run elsewhere.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from fleet_q.core import pruning, recovery
from fleet_q.core.calls import StoreCall
from fleet_q.core.cycle import Cycle
from fleet_q.core.errors import FleetQError, IncarnationEnded, StoreContended, StoreUnavailable
from fleet_q.core.ports import RecoveryQueue, StartRecord, StartRecords, StoreTraits, SyncRequest
from fleet_q.core.pruning import PruneStats
from fleet_q.core.recovery import RecoveryStats
from fleet_q.core.retry import micros
from fleet_q.core.step import Complete, Outcome, Release, Step
from fleet_q.core.worker.machine import PodMachine

RUNNER_RETRY: Final = 0.5
"""Seconds until functions are asked to begin again if none could."""

TRANSIENT: Final = (StoreUnavailable, OSError, MemoryError, RecursionError)
"""Errors of the store, or of this process, that say nothing about what the store was asked."""

NOW: Final = -math.inf

T = TypeVar("T")

Claim = tuple[str, str]
"""A step's id and the token that it is claimed under."""

News = Outcome | Callable[[], None]
"""What reaches a pod: the outcome of a function, a release of one that may not begin, or something
to do."""


class Wait(msgspec.Struct, frozen=True):
    """Wait until that time on the pod's clock, or until there are news; these are the answer, in
    the order in which they came. If the time is past, they are those that there are already."""

    until: float


Program = Generator[StoreCall | Wait, Any, T]


class Functions(Protocol):
    """Runs the functions of the steps that a pod holds. Nothing here waits for one of them."""

    @property
    def should_pull(self) -> bool:
        """Whether functions wait that may begin."""

    def start(self, steps: Sequence[Step], begin_by: float) -> None:
        """Run these, or let them wait for room, but begin none after ``begin_by``."""

    def confirm(self, begin_by: float) -> None:
        """The claims of all that wait stand: they may begin until ``begin_by``."""

    def pull(self) -> None:
        """Begin what waits, if there is room."""

    def withdraw(self, keep: int) -> list[Claim]:
        """Take back what waits, but for the first ``keep`` in claim order."""

    def take_stuck(self, before: float) -> list[Claim]:
        """Take back what should have begun before that time and cannot, though there is room."""

    def forget(self, step_id: str, claim_token: str) -> None:
        """This one has ended by itself, and its outcome will be told to the store."""

    def abandon(self, step_id: str, claim_token: str) -> None:
        """Stop this one."""

    def close(self) -> None:
        """Stop all."""


class Observer:
    """Is told what happens to a pod, and heeds of it what it likes. It should not raise."""

    @property
    def hears_completions(self) -> bool:
        """Whether :meth:`on_recorded` is called for completions too, which are many."""
        return False

    def on_claimed(self, steps: Sequence[Step]) -> None:
        """These are claimed, and their functions started."""

    def on_recorded(self, outcome: Outcome, step: Step, *, refused: bool) -> None:
        """The store has the outcome of an attempt at ``step``, or has ``refused`` it for coming too
        late."""

    def on_lost(self, step: Step) -> None:
        """The claim does not stand any more; its function is stopped."""

    def on_claimed_anew(self, step: Step) -> None:
        """The pod has claimed the step once more, which ends this attempt."""

    def on_put_off(self, error: Exception, wait: float) -> None:
        """The store did not answer; it is asked again in ``wait`` seconds."""

    def on_refused(self, outcomes: int, step: Step | None, error: Exception) -> None:
        """The store refuses so many outcomes; the one at fault, that of ``step``, has been found,
        or is searched for."""

    def on_incarnation_ended(self, error: IncarnationEnded) -> None:
        """The store does not count the pod as living; it joins again."""

    def on_stuck(self, claims: Sequence[Claim]) -> None:
        """These have not begun, since they cannot begin here, and are released."""

    def on_not_begun(self, step_id: str) -> None:
        """It may not begin, since that it begins cannot be recorded, and is released."""

    def on_not_stopped(self, step_id: str, error: Exception) -> None:
        """A function could not be stopped."""

    def on_recovery_ended(self, stats: RecoveryStats, error: Exception | None) -> None:
        """A recovery cycle is over, or has failed and will be begun anew."""

    def on_prune_ended(self, stats: PruneStats, error: Exception | None) -> None:
        """A prune is over, or has failed and will be begun anew."""

    def on_unexpected(self, error: BaseException, wait: float) -> None:
        """Something else has failed; the pod goes on in ``wait`` seconds."""

    def on_failed(self, error: BaseException) -> None:
        """The pod cannot go on: it stops its functions, and lets others have what it holds."""

    def on_not_released(self, error: BaseException) -> None:
        """The store did not take back all that a failed pod held."""

    def on_left(self, *, confirmed: bool) -> None:
        """The pod is gone; unless ``confirmed``, the store may count it as living."""


class PodProgram:
    """``machine`` on ``functions`` and a store with these ``manners``.

    ``starts`` has the records of which functions began, ``own_starts`` is the pod's own. ``clock``
    is monotonic, in seconds; ``new_table`` makes the table that orphans wait in; ``describe`` gives
    an error as one line.
    """

    def __init__(
        self,
        machine: PodMachine,
        functions: Functions,
        observer: Observer,
        *,
        clock: Callable[[], float],
        new_table: Callable[[], RecoveryQueue],
        traits: StoreTraits,
        starts: StartRecords | None,
        own_starts: StartRecord | None = None,
        describe: Callable[[BaseException], str],
    ) -> None:
        self.unexpected: str | None = None
        """The type of the unexpected error that the last attempt to go on ended with."""
        self.held: dict[str, Step] = {}
        """By id, the steps that run or have an outcome that is still to be recorded."""
        self._machine = machine
        self._functions = functions
        self._observer = observer
        self._clock = clock
        self._new_table = new_table
        self._traits = traits
        self._starts = starts
        self._own_starts = own_starts
        self._describe = describe
        self._news: deque[News] = deque()
        self._recovery: Cycle | None = None
        self._recovered = RecoveryStats()
        self._prune: Cycle | None = None
        self._pruned = PruneStats()

    def run(self) -> Program[None]:
        """From joining to leaving. Whatever is unexpected is tried again after a while; an error
        of FLEET-Q's own that gets here ends the pod."""
        try:
            while (yield from self._go_on()):
                pass
        except GeneratorExit:
            raise
        except BaseException as error:
            self._observer.on_failed(error)
            yield from self._let_go()
        else:
            self._observer.on_left(confirmed=self._machine.has_left)
        finally:
            for cycle in (self._recovery, self._prune):
                if cycle is not None:
                    cycle.close()

    def _go_on(self) -> Program[bool]:
        try:
            goes_on = yield from self._once()
            self.unexpected = None
            return goes_on
        except (FleetQError, GeneratorExit):
            raise
        except BaseException as error:
            self.unexpected = type(error).__name__
            wait = self._machine.on_store_unavailable(self._clock())
            self._observer.on_unexpected(error, wait)
        if self._machine.phase == "gone":
            return False
        until = self._clock() + wait
        while self._clock() < until:
            self._news.extend((yield Wait(until)))
        return True

    def _let_go(self) -> Program[None]:
        """Let others have what the pod holds, if the store allows."""
        try:
            self._functions.close()
            for request in self._machine.last_requests():
                yield StoreCall("sync", (request,))
        except GeneratorExit:
            raise
        except BaseException as error:
            self._observer.on_not_released(error)

    def _once(self) -> Program[bool]:
        """Do one thing that is due, or wait for the next; false when the pod is gone."""
        machine, functions = self._machine, self._functions
        if self._own_starts is not None:
            self._own_starts.tidy(self.held.values())
            machine.records_starts = self._own_starts.is_kept
        plan = machine.plan(self._clock())
        for step_id, claim_token in plan.abandon:
            self._abandon(step_id, claim_token)
        if plan.begin_by is not None:
            functions.confirm(plan.begin_by)
        if plan.keep is not None:
            machine.withdrawn(self._unheld(functions.withdraw(plan.keep)))
        if plan.gone:
            return False
        if plan.recover and self._recovery is None:
            self._recovery = self._new_recovery()
        if plan.prune and self._prune is None:
            self._prune = self._new_prune()
        called = plan.check_leader and (yield from self._ask("pods", machine.on_pods))
        if plan.poll:
            called |= yield from self._ask("change_counter", machine.on_change_counter)
        if plan.request is not None:
            yield from self._take(plan.request)
        next_at = plan.next_at
        if self._recovery is not None:
            yield from self._recover_on(self._recovery)
        elif self._prune is not None:
            yield from self._prune_on(self._prune)
        if self._prune is not None:
            next_at = min(next_at, self._prune.next_at)
        busy = plan.request is not None or self._recovery is not None or called
        if functions.should_pull:
            next_at = min(next_at, self._clock() + RUNNER_RETRY)
            busy |= self._pull()
        self._news.extend((yield Wait(NOW if busy else next_at)))
        self._take_news()
        return True

    def _take_news(self) -> None:
        news = self._news
        while news:
            item = news.popleft()
            if callable(item):
                item()
            elif type(item) is Release:
                self._not_begun(item)
            elif self._machine.finished(item):
                self._functions.forget(item.step_id, item.claim_token)

    def _not_begun(self, release: Release) -> None:
        """Its function must not begin here, and the next one perhaps neither."""
        claim = (release.step_id, release.claim_token)
        self._observer.on_not_begun(release.step_id)
        self._functions.forget(*claim)
        self._machine.stuck(self._unheld([claim]), self._clock())

    def _unheld(self, claims: list[Claim]) -> list[Claim]:
        for step_id, _ in claims:
            self.held.pop(step_id, None)
        return claims

    def _abandon(self, step_id: str, claim_token: str) -> None:
        try:
            self._functions.abandon(step_id, claim_token)
        except Exception as error:
            self._observer.on_not_stopped(step_id, error)

    def _pull(self) -> bool:
        """Let functions begin that wait though there is room; whether some cannot."""
        self._functions.pull()
        now = self._clock()
        stuck = self._functions.take_stuck(now - self._machine.settings.claim_interval)
        if stuck:
            self._observer.on_stuck(stuck)
            self._machine.stuck(self._unheld(stuck), now)
        return bool(stuck)

    # The store

    def _ask(self, method: str, tell: Callable[[Any, float], bool]) -> Program[bool]:
        """Tell the machine what the store answers; whether that changes what is due."""
        try:
            answer = yield StoreCall(method)
        except Exception as error:
            if isinstance(error, FleetQError) and not isinstance(error, StoreUnavailable):
                raise
            yield from self._put_off(error)
            return True
        return tell(answer, self._clock())

    def _take(self, request: SyncRequest) -> Program[None]:
        machine = self._machine
        try:
            answer = yield StoreCall("sync", (request,))
        except IncarnationEnded as ended:
            if ended.superseded:
                raise
            self._observer.on_incarnation_ended(ended)
            machine.on_incarnation_ended()
            if self._own_starts is not None:
                self._own_starts.begin(machine.incarnation)
            return
        except TRANSIENT as error:
            yield from self._put_off(error)
            return
        except Exception as error:
            yield from self._refused(request, error)
            return
        now = self._clock()
        steps = machine.on_synced(request, answer, now)
        held, observer = self.held, self._observer
        lost = [step for each in answer.lost if (step := held.pop(each, None))]
        claimed = {step.step_id: step for step in steps}
        anew = [held.pop(step_id) for step_id in claimed.keys() & held.keys()]
        held.update(claimed)
        # Before anything else: a step that is claimed when a kill comes should have begun.
        self._functions.start(steps, machine.begin_by(now))
        self._recorded(request.outcomes, answer.refused)
        for step in lost:
            observer.on_lost(step)
        for step in anew:
            observer.on_claimed_anew(step)
        if steps:
            observer.on_claimed(steps)

    def _recorded(self, outcomes: Iterable[Outcome], refused: Collection[str]) -> None:
        held, observer = self.held, self._observer
        hears_all = bool(refused) or observer.hears_completions
        for outcome in outcomes:
            step = held.get(outcome.step_id)
            if step is None or step.claim_token != outcome.claim_token:
                continue  # released before it began, or another attempt is under way
            del held[outcome.step_id]
            if hears_all or type(outcome) is not Complete:
                observer.on_recorded(outcome, step, refused=outcome.step_id in refused)

    def _refused(self, request: SyncRequest, error: Exception) -> Program[None]:
        """It may be about one outcome. What is not the store's own word may pass, once."""
        is_refusal = isinstance(error, FleetQError)
        if (is_refusal or request.is_retry) and self._machine.refused(self._describe(error)):
            outcomes = request.outcomes
            step = self.held.get(outcomes[0].step_id) if len(outcomes) == 1 else None
            self._observer.on_refused(len(outcomes), step, error)
        elif is_refusal:
            raise error
        else:
            yield from self._put_off(error)

    def _put_off(self, error: Exception) -> Program[None]:
        # The pod may have been told to leave while the store kept it waiting.
        self._news.extend((yield Wait(NOW)))
        self._take_news()
        contended = isinstance(error, StoreContended)
        self._observer.on_put_off(
            error, self._machine.on_store_unavailable(self._clock(), contended=contended)
        )

    # What a leader does beside its turns, one call of the store at a time

    def _new_recovery(self) -> Cycle:
        machine, self._recovered = self._machine, RecoveryStats()
        program = recovery.recovery_cycle(
            self._new_table(),
            silent=lambda fleet: machine.silent(fleet, self._clock()),
            starts=self._starts,
            dead_after=micros(machine.settings.dead_pod_threshold),
            by=machine.pod_id,
            only_as_leader=True,
            stats=self._recovered,
        )
        return Cycle(program, self._clock)

    def _recover_on(self, cycle: Cycle) -> Program[None]:
        try:
            yield from cycle.go_on()
        except Exception as error:
            self._recovery = None
            self._observer.on_recovery_ended(self._recovered, error)
            return
        if cycle.is_over:
            self._recovery = None
            self._observer.on_recovery_ended(self._recovered, None)

    def _new_prune(self) -> Cycle | None:
        machine, self._pruned = self._machine, PruneStats()
        prune_after = machine.settings.prune_after
        if prune_after is None:
            return None
        program = pruning.prune_cycle(
            older_than=micros(prune_after),
            prune_batch=self._traits.prune_batch,
            stats=self._pruned,
            by=machine.pod_id,
            dead_after=micros(machine.settings.dead_pod_threshold),
        )
        return Cycle(program, self._clock)

    def _prune_on(self, cycle: Cycle) -> Program[None]:
        """What a store refuses here is no reason for the pod to stop: it may not have been granted
        to delete."""
        if self._clock() < cycle.next_at:
            return
        try:
            yield from cycle.go_on()
        except Exception as error:
            self._prune = None
            self._observer.on_prune_ended(self._pruned, error)
            return
        if cycle.is_over:
            self._prune = None
            self._observer.on_prune_ended(self._pruned, None)
