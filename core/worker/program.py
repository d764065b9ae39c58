"""The pod's main loop: carry out what the machine plans, wait, and repeat.

It is a generator that yields whatever takes time: calls of the store, and waiting. An interpreter
carries these out, in a thread or in virtual time, and closes the generator to kill the pod.
Functions run elsewhere; calls of :class:`Functions` do not wait.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeVar

import msgspec

from fleet_q.core import pruning, recovery, unserved
from fleet_q.core.alerts import Alert
from fleet_q.core.calls import StoreCall
from fleet_q.core.cycle import Cycle
from fleet_q.core.errors import (
    FleetQError,
    IncarnationEnded,
    StoreContended,
    StoreGivenUp,
    StoreUnavailable,
    UnknownStoreError,
)
from fleet_q.core.firing import FiringStats, fire_due
from fleet_q.core.ports import (
    RecoveryQueue,
    StartRecord,
    StartRecords,
    StoreTraits,
    SyncRequest,
    SyncResult,
)
from fleet_q.core.pruning import PruneStats
from fleet_q.core.recovery import RecoveryStats
from fleet_q.core.retry import MICROS, micros
from fleet_q.core.schedules import Calendar, Definition
from fleet_q.core.step import Complete, Outcome, Release, Step
from fleet_q.core.unserved import Pair, UnservedTracker
from fleet_q.core.worker.alert_duty import AlertDuty
from fleet_q.core.worker.functions import Claim, Functions
from fleet_q.core.worker.machine import PodMachine
from fleet_q.core.worker.observer import Observer

RUNNER_RETRY: Final = 0.5
"""Seconds between tries to begin functions that wait although there are free slots."""

TRANSIENT: Final = (StoreUnavailable, OSError, MemoryError, RecursionError)
"""Errors of the store, or of this process, that do not depend on the request."""

NOW: Final = -math.inf

T = TypeVar("T")

Message = Outcome | Callable[[], None]
"""What the pod receives: the outcome of a function, the release of a step whose function may not
begin, or a function to call in the pod's loop."""


class Wait(msgspec.Struct, frozen=True):
    """Wait until that time on the pod's clock, or until messages arrive.

    The interpreter sends an iterable of messages, in order of arrival. If the time is past, it
    sends those that have already arrived. The iterable may go on with messages that arrive while
    it is read, so that the next sync takes their outcomes along.
    """

    until: float


Program = Generator[StoreCall | Wait, Any, T]


class PodProgram:
    """One pod: ``machine``, its ``functions``, and a store with these ``traits``.

    ``starts`` are the records of which functions began, ``own_starts`` is the pod's own. ``clock``
    is monotonic, in seconds. ``new_queue`` makes the queue that orphans wait in during a recovery
    cycle. ``describe`` gives an error as one line, ``calendar`` the times of schedules,
    ``declared`` are those of the code that the pod runs. ``send_alert`` begins to send an alert
    to a person, and tells :meth:`on_alert_told`; ``None``: nobody is to be told.
    """

    def __init__(
        self,
        machine: PodMachine,
        functions: Functions,
        observer: Observer,
        *,
        clock: Callable[[], float],
        new_queue: Callable[[], RecoveryQueue],
        traits: StoreTraits,
        starts: StartRecords | None,
        own_starts: StartRecord | None = None,
        describe: Callable[[BaseException], str],
        calendar: Calendar,
        declared: Sequence[Definition] = (),
        send_alert: Callable[[Alert], object] | None = None,
    ) -> None:
        self.unexpected: str | None = None
        """The type of the unexpected error that the last pass of the loop ended with."""
        self.held: dict[str, Step] = {}
        """By id, the steps whose functions run or whose outcomes are not recorded yet."""
        self._machine = machine
        self._functions = functions
        self._observer = observer
        self._clock = clock
        self._new_queue = new_queue
        self._traits = traits
        self._starts = starts
        self._own_starts = own_starts
        self._describe = describe
        self._calendar = calendar
        self._declared = declared
        if declared:
            machine.must_declare()
        self._messages: Iterator[Message] = iter(())  # received, and perhaps not all processed
        self._recovery: Cycle | None = None
        self._recovered = RecoveryStats()
        self._unserved = UnservedTracker()
        self._firing: Cycle | None = None
        self._fired = FiringStats()
        self._alerts = AlertDuty(machine.settings, send_alert, observer.on_alerts_postponed)
        self._prune: Cycle | None = None
        self._pruned = PruneStats()

    def run(self) -> Program[None]:
        """The pod from joining to leaving. After an unexpected error it continues after a while; an
        error of FLEET-Q's own that gets here ends it."""
        try:
            while (yield from self._once_or_back_off()):
                pass
        except GeneratorExit:
            raise
        except BaseException as error:
            self._observer.on_failed(error)
            yield from self._release_all()
        else:
            self._observer.on_left(confirmed=self._machine.has_left)
        finally:
            for cycle in (self._recovery, self._firing, self._prune):
                if cycle is not None:
                    cycle.close()

    def _once_or_back_off(self) -> Program[bool]:
        try:
            has_more = yield from self._once()
            self.unexpected = None
            return has_more
        except (FleetQError, GeneratorExit):
            raise
        except BaseException as error:
            self.unexpected = type(error).__name__
            wait = self._machine.on_store_unavailable(self._clock())
            self._check_given_up(error)
            self._observer.on_unexpected(error, wait)
        if self._machine.phase == "gone":
            return False
        until = self._clock() + wait
        while self._clock() < until:
            self._messages = iter([*self._messages, *(yield Wait(until))])
        return True

    def _release_all(self) -> Program[None]:
        """Record the outcomes that are left and release all steps, if the store answers."""
        try:
            self._functions.close()
            for request in self._machine.last_requests():
                yield StoreCall("sync", (request,))
        except GeneratorExit:
            raise
        except BaseException as error:
            self._observer.on_not_released(error)

    def _once(self) -> Program[bool]:
        """Carry out one plan, then wait for the next. False when the pod is gone."""
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
            machine.withdrawn(self._drop(functions.withdraw(plan.keep)))
        if plan.gone:
            return False
        if plan.recover and self._recovery is None:
            self._recovery = self._new_recovery()
        if plan.prune and self._prune is None:
            self._prune = self._new_prune()
        if plan.fire and self._firing is None:
            self._firing = self._new_firing()
        must_replan = plan.check_leader and (yield from self._read("pods", machine.on_pods))
        if plan.poll:
            must_replan |= yield from self._read("change_counter", machine.on_change_counter)
        if plan.request is not None:
            yield from self._sync(plan.request)
        next_at = plan.next_at
        is_firing = self._firing is not None
        if self._firing is not None:
            yield from self._continue_firing(self._firing)
        yield from self._alerts.record()
        if self._recovery is not None:
            yield from self._continue_recovery(self._recovery)
        elif self._prune is not None:
            yield from self._continue_prune(self._prune)
        if self._prune is not None:
            next_at = min(next_at, self._prune.next_at)
        busy = plan.request is not None or must_replan
        busy |= self._recovery is not None or is_firing
        if functions.should_pull:
            next_at = min(next_at, self._clock() + RUNNER_RETRY)
            busy |= self._pull()
        self._messages = chain(self._messages, (yield Wait(NOW if busy else next_at)))
        self._take_messages()
        return True

    def _take_messages(self) -> None:
        for message in self._messages:
            if callable(message):
                message()
            elif type(message) is Release:
                self._on_not_begun(message)
            elif self._machine.finished(message):
                self._functions.forget(message.step_id, message.claim_token)

    def _on_not_begun(self, release: Release) -> None:
        """A function may not begin here. Release its step, and claim fewer for a while: the next
        function may be refused for the same reason."""
        claim = (release.step_id, release.claim_token)
        self._observer.on_not_begun(release.step_id)
        self._functions.forget(*claim)
        self._machine.stuck(self._drop([claim]), self._clock())

    def _drop(self, claims: list[Claim]) -> list[Claim]:
        for step_id, _ in claims:
            self.held.pop(step_id, None)
        return claims

    def _abandon(self, step_id: str, claim_token: str) -> None:
        try:
            self._functions.abandon(step_id, claim_token)
        except Exception as error:
            self._observer.on_not_stopped(step_id, error)

    def _pull(self) -> bool:
        """Begin functions that wait although there are free slots, and release those that cannot.
        True if any were released."""
        self._functions.pull()
        now = self._clock()
        stuck = self._functions.take_stuck(now - self._machine.settings.claim_interval)
        if stuck:
            self._observer.on_stuck(stuck)
            self._machine.stuck(self._drop(stuck), now)
        return bool(stuck)

    # The store

    def _read(self, method: str, report: Callable[[Any, float], bool]) -> Program[bool]:
        """Call the store and report its answer to the machine. True if a new plan is needed."""
        try:
            answer = yield StoreCall(method)
        except Exception as error:
            if isinstance(error, FleetQError) and not isinstance(error, StoreUnavailable):
                raise
            yield from self._on_store_unavailable(error)
            return True
        return report(answer, self._clock())

    def _sync(self, request: SyncRequest) -> Program[None]:
        machine = self._machine
        try:
            if machine.combining.should_post(request):
                result = yield from machine.combining.exchange(
                    request, self._wait_meanwhile, self._clock
                )
            else:
                result = yield StoreCall("sync", (request,))
        except IncarnationEnded as ended:
            if ended.superseded:
                raise
            self._observer.on_incarnation_ended(ended)
            machine.on_incarnation_ended()
            if self._own_starts is not None:
                self._own_starts.begin(machine.incarnation)
            return
        except TRANSIENT as error:
            if isinstance(error, UnknownStoreError) and machine.is_refusal():
                yield from self._on_refused(request, error)
            else:
                yield from self._on_store_unavailable(error)
            return
        except Exception as error:
            yield from self._on_refused(request, error)
            return
        now = self._clock()
        steps = machine.on_synced(request, result, now)
        held, observer = self.held, self._observer
        lost = [step for step_id in result.lost if (step := held.pop(step_id, None))]
        claimed = {step.step_id: step for step in steps}
        # Sorted, because the order of a set of texts differs from process to process.
        earlier = [held.pop(step_id) for step_id in sorted(claimed.keys() & held.keys())]
        held.update(claimed)
        # Start functions before all else, so that a kill finds few claimed steps that never began.
        self._functions.start(steps, machine.begin_by(now), result.at / MICROS - now)
        if observer.wants_ended:
            self._on_ended(request.outcomes, result)
        self._on_recorded(request.outcomes, result.refused)
        observer.on_synced(machine.sync_took, machine.sync_waited)
        for step in lost:
            observer.on_lost(step)
        for step in earlier:
            observer.on_claimed_again(step)
        if steps:
            observer.on_claimed(steps)

    def _wait_meanwhile(self, seconds: float) -> Program[None]:
        """Wait for so many seconds while a request is under way: send heartbeats, take messages."""
        machine, until = self._machine, self._clock() + seconds
        while True:
            now = self._clock()
            heartbeat = machine.due_heartbeat(now)
            if heartbeat is not None:
                yield StoreCall("sync", (heartbeat,))
                machine.on_heartbeat(now)
            self._messages = chain(self._messages, (yield Wait(until)))
            self._take_messages()
            if self._clock() >= until:
                return

    def _on_ended(self, outcomes: Iterable[Outcome], result: SyncResult) -> None:
        held = self.held
        ended = [
            (outcome, step)
            for outcome in outcomes
            if (step := held.get(outcome.step_id)) is not None
            and step.claim_token == outcome.claim_token
        ]
        if ended:
            self._observer.on_ended(ended, result.refused, result.at)

    def _on_recorded(self, outcomes: Iterable[Outcome], refused: Collection[str]) -> None:
        held, observer = self.held, self._observer
        reports_all = bool(refused) or observer.wants_completions
        for outcome in outcomes:
            step = held.get(outcome.step_id)
            if step is None or step.claim_token != outcome.claim_token:
                continue  # released before it began, or another attempt is under way
            del held[outcome.step_id]
            if reports_all or type(outcome) is not Complete:
                observer.on_recorded(outcome, step, refused=outcome.step_id in refused)

    def _on_refused(self, request: SyncRequest, error: Exception) -> Program[None]:
        """The store raised an error that may concern one outcome. An error of another library
        counts as a refusal only if it occurs again."""
        is_refusal = isinstance(error, FleetQError)
        if (is_refusal or request.is_retry) and self._machine.refused(self._describe(error)):
            outcomes = request.outcomes
            step = self.held.get(outcomes[0].step_id) if len(outcomes) == 1 else None
            self._observer.on_refused(len(outcomes), step, error)
        elif is_refusal and not isinstance(error, StoreUnavailable):
            raise error
        else:
            yield from self._on_store_unavailable(error)

    def _on_store_unavailable(self, error: Exception) -> Program[None]:
        # A message that arrived during the call may tell the pod to drain.
        self._messages = chain(self._messages, (yield Wait(NOW)))
        self._take_messages()
        contended = isinstance(error, StoreContended)
        wait = self._machine.on_store_unavailable(self._clock(), contended=contended)
        self._check_given_up(error)
        self._observer.on_store_unavailable(error, wait)

    def _check_given_up(self, error: BaseException) -> None:
        """Stop the pod if the store has carried out nothing for too long."""
        if self._machine.should_give_up:
            raise StoreGivenUp(
                f"the store has carried out nothing for {self._machine.failing_for:.0f} s"
                f" (FLEET_Q_STORE_GIVE_UP_AFTER); the last error: {self._text(error)}"
            ) from error

    def _text(self, error: BaseException) -> str:
        return str(error) if isinstance(error, FleetQError) else self._describe(error)

    # Recovery and pruning, one call of the store between two syncs

    def _new_recovery(self) -> Cycle:
        machine, self._recovered = self._machine, RecoveryStats()
        dead_after = micros(machine.settings.dead_pod_threshold)
        cycle = recovery.recovery_cycle(
            self._new_queue(),
            silent=lambda pods: machine.silent(pods, self._clock()),
            starts=self._starts,
            dead_after=dead_after,
            by=machine.pod_id,
            only_as_leader=True,
            stats=self._recovered,
            on_recovered=self._observer.on_recovered,
        )
        if self._observer.wants_unserved:
            cycle = unserved.then_find_unserved(cycle, dead_after, self._on_unserved)
        cycle = self._alerts.then_look(cycle)
        return Cycle(cycle, self._clock)

    def on_alert_told(self, alert: Alert) -> None:
        """The receiver has accepted an alert. A message for the pod's loop."""
        self._alerts.on_told(alert)

    def _on_unserved(self, pairs: Sequence[Pair]) -> None:
        if new := self._unserved.on_found(pairs):
            self._observer.on_unserved(new)

    def _continue_recovery(self, cycle: Cycle) -> Program[None]:
        error = yield from _continue(cycle)
        if cycle.is_over:
            self._recovery = None
            self._machine.on_recovery_ended(
                self._clock(),
                None if error is None else self._text(error),
                was_unavailable=isinstance(error, StoreUnavailable),
            )
            if error is None:
                self._observer.on_leads(bool(cycle.result))
            self._observer.on_recovery_ended(self._recovered, error)

    def _new_firing(self) -> Cycle:
        self._fired = FiringStats()
        program = fire_due(
            self._calendar,
            self._machine.pod_id,
            self._fired,
            self._observer.on_not_fired,
            self._declared,
        )
        return Cycle(program, self._clock)

    def _continue_firing(self, cycle: Cycle) -> Program[None]:
        error = yield from _continue(cycle)
        if cycle.is_over:
            self._firing = None
            self._machine.on_fired(self._fired, error, self._clock())
            if error is None and not self._fired.failed:
                self._declared = ()
            elif self._declared:
                self._machine.must_declare()
            self._observer.on_fired(self._fired, error)

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

    def _continue_prune(self, cycle: Cycle) -> Program[None]:
        """Continue a prune. An error ends only the prune: the pod may lack the privilege to
        delete."""
        if self._clock() < cycle.next_at:
            return
        error = yield from _continue(cycle)
        if cycle.is_over:
            self._prune = None
            self._machine.on_prune_ended(was_unavailable=isinstance(error, StoreUnavailable))
            self._observer.on_prune_ended(self._pruned, error)


def _continue(cycle: Cycle) -> Program[Exception | None]:
    """Execute the next call of ``cycle``. Returns the error that ended it, if one did."""
    try:
        yield from cycle.go_on()
    except Exception as error:
        return error
    return None
