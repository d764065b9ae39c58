"""The process of a pod: executes the pod's program in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from functools import partial
from random import Random
from typing import Any, Final

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.core.alerts import Alert
from fleet_q.core.calls import Calls, StoreCall
from fleet_q.core.capacity import slots
from fleet_q.core.errors import (
    DataRefused,
    FleetQError,
    IncarnationEnded,
    StoreGivenUp,
    StoreUnavailable,
)
from fleet_q.core.ports import StartRecords, StoreTraits, SyncRequest
from fleet_q.core.pruning import PruneStats
from fleet_q.core.recovery import RecoveryStats
from fleet_q.core.retry import MICROS
from fleet_q.core.routing import EVERYWHERE, Routes
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Step
from fleet_q.core.worker.machine import PodMachine
from fleet_q.core.worker.observer import Observer
from fleet_q.core.worker.program import NOW, Message, PodProgram, Wait
from fleet_q.services.simulation.actor import Actor, Process, Server
from fleet_q.services.simulation.clients import Clients
from fleet_q.services.simulation.failing import Failing
from fleet_q.services.simulation.functions import Functions, claim_of
from fleet_q.services.simulation.records import SLACK, StepRecord, longest_gap
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.violation import Violation
from fleet_q.services.simulation.virtual_clock import VirtualClock

WAKE_DELAY: Final = 1e-6
"""Seconds added to every sleep. Without it a rounding error may wake the program before the time,
and it would sleep for zero seconds for ever."""


class PodProcess(Actor):
    """One process of a pod.

    ``rate``: speed of its clock relative to the store's. ``work``: its functions, by step id.
    ``on_killed`` is called with the step whose function kills the process, ``on_given_up`` when the
    pod stops because its store has failed for too long; ``on_begin`` with the
    claim of a function that begins, the time of the request that confirmed that claim last, and the
    number in its checkpoint; ``on_saved`` with the claim and number of a checkpoint whose save was
    acknowledged.
    ``starts``: the records of which functions began, if the store keeps them. ``by_hand``: clients
    claim its steps. ``routes``: which steps it takes. ``send_alert`` begins to send an alert.
    """

    def __init__(
        self,
        pod_id: str,
        number: int,
        virtual_clock: VirtualClock,
        server: Server,
        settings: PodSettings,
        *,
        chance: Random,
        traits: StoreTraits,
        rate: float,
        work: dict[str, Work],
        on_killed: Callable[[PodProcess, Step], object],
        on_given_up: Callable[[PodProcess], object],
        on_begin: Callable[[tuple[str, str], float, int], object],
        on_saved: Callable[[tuple[str, str], int], object],
        starts: StartRecords | None = None,
        by_hand: bool = False,
        routes: Routes = EVERYWHERE,
        send_alert: Callable[[PodProcess, Alert], object] | None = None,
    ) -> None:
        super().__init__(pod_id, virtual_clock, server)
        self.number = number
        self.settings = settings
        self.routes = routes
        # When the process was last frozen, or the store was slow or unavailable.
        self.disturbed_at = virtual_clock.now
        self.began_at = virtual_clock.now
        self.gaps: list[tuple[float, float]] = []  # in which it was frozen for long
        self.call_began: float | None = None
        self.requests = 0  # answered ones, except heartbeats while another request waits
        self.last_claimed_at = virtual_clock.now
        self.ids = 0
        self._rate = rate
        self._offset = chance.uniform(0, 1e6)
        self._jumps: list[tuple[float, float]] = []  # time, and seconds
        self._longest_gap = longest_gap(settings)
        self._on_begin = on_begin
        # By claim: the times of the request that last confirmed it, and of the answer.
        self._confirmed: dict[tuple[str, str], tuple[float, float]] = {}
        self._must_begin_by: dict[tuple[str, str], float] = {}  # seconds since the start, by claim
        self._inbox: list[Message] = []
        self._failing = Failing(pod_id, settings.store_give_up_after, self.clock)
        self._failures = _Failures(lambda: self._on_given_up(on_given_up))
        slot_count = slots(settings.max_parallelism, settings.capacity_threshold)
        self.machine = PodMachine(
            pod_id,
            settings,
            new_id=self._new_id,
            chance=chance.random,
            traits=traits,
            most_by_hand=slot_count if by_hand else None,
            routes=lambda: routes,
        )
        self.records_starts = self.machine.records_starts = starts is not None and not by_hand
        self._slots = slot_count
        self._most_held = slot_count + (0 if by_hand else settings.prefetch)
        self._clients: Clients | None = None
        new_functions: Callable[..., Functions] = Functions
        if by_hand:
            clients = Random(f"{chance.random()}, clients")
            new_functions = partial(Clients, self.machine, routes, clients)
        self._functions = new_functions(
            self,
            slot_count,
            work,
            retry_policy=self.machine.retry_policy,
            on_timeout_set=self._on_timeout_set,
            on_done=self._notify,
            on_killed=lambda step: on_killed(self, step),
            clock=self.clock,
            on_begin=self._check_begin,
            on_unconfirmed=lambda: self._notify(self.machine.must_confirm),
            on_saved=on_saved,
        )
        if isinstance(self._functions, Clients):
            self._clients = self._functions
        self._program = PodProgram(
            self.machine,
            self._functions,
            self._failures,
            clock=self.clock,
            new_queue=SqliteRecoveryQueue,
            traits=traits,
            starts=starts,
            describe=repr,
            calendar=CALENDAR,
            send_alert=None if send_alert is None else partial(send_alert, self),
        )

    @property
    def process_id(self) -> str:
        """The pod's id and the number of the process."""
        return f"{self.name}/{self.number}"

    def start(self) -> None:
        """Start the pod's program."""
        self.begin(self._run())
        if self._clients is not None:
            self._clients.begin()

    def clock(self) -> float:
        """The process's monotonic clock, in seconds."""
        return self._offset + self.virtual_clock.now * self._rate

    def elapsed(self, since: float, until: float) -> float:
        """Seconds of its own clock between two times of the simulation since its start."""
        jumps = sum(seconds for when, seconds in self._jumps if since <= when <= until)
        return (until - since) * self._rate + jumps

    def jump(self, seconds: float) -> None:
        """Move its clock forward."""
        self._offset += seconds
        self._jumps.append((self.virtual_clock.now, seconds))
        self.wake()

    def kill(self) -> None:
        super().kill()
        for saver in self._functions.savers:
            saver.kill()

    def freeze(self, seconds: float) -> None:
        super().freeze(seconds)
        for saver in self._functions.savers:
            saver.freeze(seconds)
        self.disturbed_at = self.frozen_until
        if self.frozen_until - self._stopped_at > self._longest_gap:
            self.gaps.append((self._stopped_at, self.frozen_until))

    @property
    def has_free_slots(self) -> bool:
        """Whether it would claim a step: a slot is free, and by hand, a client waits for one."""
        is_wanted = self._clients is None or self._clients.asking > 0
        return is_wanted and self.machine.running < self._slots

    def may_take(self, step: StepRecord) -> bool:
        """Whether its routes let it claim the step. Decided here and not by the core, so that an
        error of the core's rule is noticed."""
        queues, task_types = self.routes.queues, self.routes.task_types
        is_of_queue = queues is None or step.queue in queues
        return is_of_queue and (task_types is None or step.task_type in task_types)

    def is_running(self, step_id: str, claim_token: str) -> bool:
        """Whether a function runs or waits under this claim, or has ended and is not yet
        reported."""
        claim = (step_id, claim_token)
        return claim in self._functions or claim in self._functions.unreported

    def longest_waiting(self) -> tuple[str, float] | None:
        """The step that has waited longest to begin, and since when; ``None`` if none waits."""
        return self._functions.longest_waiting()

    def was_started(self, step_id: str, claim_token: str) -> bool:
        """Whether the step was ever started under this claim."""
        return (step_id, claim_token) in self._functions.claimed_at

    def has_begun(self, step_id: str, claim_token: str) -> bool:
        """Whether the step's function began under this claim."""
        return (step_id, claim_token) in self._functions.begun

    def work_arrived(self) -> None:
        """Handle a submission from this process."""
        self.machine.work_arrived()
        self.wake()

    def drain(self, grace: float | None = None) -> None:
        """Drain the pod within ``grace`` seconds; ``None`` is its setting."""
        self.machine.drain(self.clock(), grace)
        self.wake()

    def on_alert_told(self, alert: Alert) -> None:
        """The receiver has answered that it accepts an alert."""
        self._notify(partial(self._program.on_alert_told, alert))

    def new_row_id(self) -> str:
        """An id for a row of the inbox that the pod takes in."""
        return f"row {self._new_id()}"

    def _new_id(self) -> str:
        self.ids += 1
        return f"{self.process_id}/{self.ids}"

    def _run(self) -> Process:
        program = self._program.run()
        answer: Any
        try:
            command = next(program)
            while True:
                self._failures.check()
                try:
                    if isinstance(command, Wait):
                        answer = yield from self._wait(command.until)
                    else:
                        answer = yield from self._call(command)
                except FleetQError as error:
                    command = program.throw(error)
                else:
                    command = program.send(answer)
        except StopIteration:
            self._failures.check()

    def _wait(self, until: float) -> Generator[float, Any, list[Message]]:
        if until > NOW and not self._inbox:
            yield (until - self._offset) / self._rate + WAKE_DELAY
        messages, self._inbox = self._inbox, []
        return messages

    def _call(self, call: StoreCall) -> Calls[Any]:
        if call.method not in ("sync", "post", "poll"):
            return (yield from self._timed(call))
        if len(self._functions) > self._most_held:
            raise Violation("capacity", self.name, f"holds more than {self._most_held} steps")
        if self._clients is not None:
            self._check_wanted(call.args[0], self._clients.asking)
        asked_at = self.virtual_clock.now
        answer = yield from self._timed(call)
        if answer is None:  # the request waits in the mailbox
            return None
        request: SyncRequest = call.args[0]
        is_meanwhile = call.method == "sync" and self.machine.combining.is_posted
        self.requests += not is_meanwhile
        if answer.claimed:
            self.last_claimed_at = self.virtual_clock.now
        self._functions.unreported.difference_update(
            (outcome.step_id, outcome.claim_token) for outcome in request.outcomes
        )
        for step in answer.claimed:
            if step.start_by_ts is not None and not (step.retry_count or step.snoozes):
                left = (step.start_by_ts - answer.at) / MICROS
                self._must_begin_by[claim_of(step)] = self.virtual_clock.now + left
        confirmed = [claim for claim in request.check_held if claim[0] not in answer.lost]
        confirmed += [(step.step_id, request.claim_token) for step in answer.claimed]
        self._confirmed.update(dict.fromkeys(confirmed, (asked_at, self.virtual_clock.now)))
        return answer

    def _timed(self, call: StoreCall) -> Calls[Any]:
        self.call_began = self.virtual_clock.now
        try:
            answer = yield call
            self._failing.answered(wrote=call.method in ("sync", "post", "poll"))
            if self.virtual_clock.now - self.call_began > self._longest_gap:
                self.disturbed_at = self.virtual_clock.now
            return answer
        except StoreUnavailable:
            self._failing.failed()
            self.disturbed_at = self.virtual_clock.now
            raise
        finally:
            self.call_began = None

    def _on_given_up(self, on_given_up: Callable[[PodProcess], object]) -> None:
        self._failing.check_given_up()
        on_given_up(self)

    def _check_begin(self, claim: tuple[str, str], checkpoint: int) -> None:
        asked_at, answered_at = self._confirmed[claim]
        late = self.virtual_clock.now - self._must_begin_by.get(claim, math.inf)
        waited = self.virtual_clock.now - self._functions.claimed_at[claim]
        if late > (SLACK - 1) * waited + 0.001:
            raise Violation("deadlines", claim[0], f"began {late:.1f} s too late")
        age = self.virtual_clock.now - answered_at
        if age > self.settings.claim_interval * SLACK:
            how = f"began {age:.1f} s after its claim was confirmed"
            raise Violation("only claimed steps begin", claim[0], how)
        self._on_begin(claim, asked_at, checkpoint)

    def _check_wanted(self, request: SyncRequest, asking: int) -> None:
        if request.claim > asking and not request.is_retry:
            how = f"claims {request.claim} steps, and its clients want {asking}"
            raise Violation("capacity", self.name, how)

    def _on_timeout_set(self, step_id: str, claim_token: str, timeout: float) -> None:
        self._notify(partial(self.machine.began, step_id, claim_token, timeout, self.clock()))

    def _notify(self, message: Message) -> None:
        self._inbox.append(message)
        self.wake()


def process_of(incarnation: str) -> str:
    """The id of the process that made the incarnation."""
    return incarnation.rpartition("/")[0]


class _Failures(Observer):
    """Keeps errors that must not occur in a pod, whatever happens to its store."""

    def __init__(self, on_given_up: Callable[[], object]) -> None:
        self._error: BaseException | None = None
        self._on_given_up = on_given_up

    def check(self) -> None:
        """Raise the error that was kept, if any."""
        if self._error is not None:
            raise self._error

    def on_refused(self, outcomes: int, step: Step | None, error: Exception) -> None:
        if not isinstance(error, DataRefused):
            self._error = error

    def on_not_stopped(self, step_id: str, error: Exception) -> None:
        self._error = error

    def on_recovery_ended(self, stats: RecoveryStats, error: Exception | None) -> None:
        self._keep_unexpected(error)

    def on_alerts_postponed(self, error: Exception) -> None:
        self._keep_unexpected(error)

    def on_prune_ended(self, stats: PruneStats, error: Exception | None) -> None:
        self._keep_unexpected(error)

    def on_unexpected(self, error: BaseException, wait: float) -> None:
        self._error = error

    def on_failed(self, error: BaseException) -> None:
        if isinstance(error, StoreGivenUp):
            self._on_given_up()
        else:
            self._keep_unexpected(error)

    def on_not_released(self, error: BaseException) -> None:
        if not isinstance(error, DataRefused):
            self._keep_unexpected(error)

    def _keep_unexpected(self, error: BaseException | None) -> None:
        """Keep the error, unless the store is unavailable or the incarnation has ended."""
        if error is not None and not isinstance(error, StoreUnavailable | IncarnationEnded):
            self._error = error
