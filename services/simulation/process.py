"""A pod's process: carries the pod's program out in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from random import Random
from typing import Any, Final

from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.core.calls import Calls, StoreCall
from fleet_q.core.capacity import slots
from fleet_q.core.errors import FleetQError, IncarnationEnded, StoreUnavailable
from fleet_q.core.ports import StartRecords, StoreTraits, SyncRequest
from fleet_q.core.pruning import PruneStats
from fleet_q.core.recovery import RecoveryStats
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Step
from fleet_q.core.worker.machine import PodMachine
from fleet_q.core.worker.program import NOW, News, Observer, PodProgram, Wait
from fleet_q.services.simulation.actor import Actor, Life, Server
from fleet_q.services.simulation.functions import Functions
from fleet_q.services.simulation.records import SLACK, longest_gap
from fleet_q.services.simulation.scenario import Work
from fleet_q.services.simulation.violation import Violation
from fleet_q.services.simulation.virtual_clock import VirtualClock

TICK: Final = 1e-6
"""Seconds by which a sleeper wakes late, as it does everywhere; by a rounding error early, it would
find nothing due and sleep for no time at all, for ever."""


class Process(Actor):
    """One process of a pod. ``rate``: how fast its clock runs; ``work``: what its functions do;
    ``killed``: told when one of them takes the process down; ``on_begin``: told when one begins,
    and when the process last asked, before it, whether its claim stands; ``starts``: where it is
    recorded which functions began."""

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
        killed: Callable[[Process, Step], object],
        on_begin: Callable[[tuple[str, str], float], object],
        starts: StartRecords | None = None,
    ) -> None:
        super().__init__(pod_id, virtual_clock, server)
        self.number = number
        self.settings = settings
        self.disturbed_at = virtual_clock.now  # when it last had trouble with the store
        self.began_at = virtual_clock.now
        self.gaps: list[tuple[float, float]] = []  # in which it stood still for long
        self.call_began: float | None = None
        self.requests = 0  # that were answered
        self.ids = 0
        self._rate = rate
        self._leapt = chance.uniform(0, 1e6)
        self._leaps: list[tuple[float, float]] = []  # when, and by how many seconds
        self._longest_gap = longest_gap(settings)
        self._on_begin = on_begin
        self._confirmed: dict[tuple[str, str], tuple[float, float]] = {}  # when asked, answered
        self._inbox: list[News] = []
        self._failures = _Failures()
        self.machine = PodMachine(
            pod_id,
            settings,
            new_id=self._new_id,
            chance=chance.random,
            traits=traits,
        )
        self.machine.records_starts = starts is not None
        most = slots(settings.max_parallelism, settings.capacity_threshold)
        self._most_held = most + settings.prefetch
        self._functions = Functions(
            self,
            most,
            work,
            retry_policy=self.machine.retry_policy,
            began=self._began,
            done=self._tell,
            killed=lambda step: killed(self, step),
            clock=self.clock,
            on_begin=self._check_begin,
            on_unconfirmed=lambda: self._tell(self.machine.must_confirm),
        )
        self._program = PodProgram(
            self.machine,
            self._functions,
            self._failures,
            clock=self.clock,
            new_table=SqliteRecoveryQueue,
            traits=traits,
            starts=starts,
            describe=repr,
        )

    def start(self) -> None:
        """Begin to live."""
        self.begin(self._live())

    def clock(self) -> float:
        """The process's own monotonic clock."""
        return self._leapt + self.virtual_clock.now * self._rate

    def elapsed(self, since: float, until: float) -> float:
        """Seconds of its own clock between these times, at which it lived already."""
        leaps = sum(seconds for when, seconds in self._leaps if since <= when <= until)
        return (until - since) * self._rate + leaps

    def leap(self, seconds: float) -> None:
        """Let its clock leap forward."""
        self._leapt += seconds
        self._leaps.append((self.virtual_clock.now, seconds))
        self.wake()

    def freeze(self, seconds: float) -> None:
        super().freeze(seconds)
        self.disturbed_at = self.frozen_until
        if self.frozen_until - self._stopped_at > self._longest_gap:
            self.gaps.append((self._stopped_at, self.frozen_until))

    def runs(self, step_id: str, claim_token: str) -> bool:
        """Whether a function of it runs under this claim, is about to, or has an outcome that is
        still to be told."""
        claim = (step_id, claim_token)
        return claim in self._functions or claim in self._functions.untold

    def longest_waiting(self) -> tuple[str, float] | None:
        """The step that it holds which has waited longest to begin, and since when."""
        return self._functions.longest_waiting()

    def has_run(self, step_id: str, claim_token: str) -> bool:
        """Whether one ever was to run."""
        return (step_id, claim_token) in self._functions.started

    def began(self, step_id: str, claim_token: str) -> bool:
        """Whether its function did."""
        return (step_id, claim_token) in self._functions.begun

    def work_arrived(self) -> None:
        """A step was submitted in this process."""
        self.machine.work_arrived()
        self.wake()

    def drain(self, grace: float | None = None) -> None:
        """Tell it to stop."""
        self.machine.drain(self.clock(), grace)
        self.wake()

    def _new_id(self) -> str:
        self.ids += 1
        return f"{self.name}/{self.number}/{self.ids}"

    def _live(self) -> Life:
        program = self._program.run()
        answer: Any
        try:
            need = next(program)
            while True:
                self._failures.check()
                try:
                    if isinstance(need, Wait):
                        answer = yield from self._wait(need.until)
                    else:
                        answer = yield from self._call(need)
                except FleetQError as error:
                    need = program.throw(error)
                else:
                    need = program.send(answer)
        except StopIteration:
            self._failures.check()

    def _wait(self, until: float) -> Generator[float, Any, list[News]]:
        if until > NOW and not self._inbox:
            yield (until - self._leapt) / self._rate + TICK
        news, self._inbox = self._inbox, []
        return news

    def _call(self, call: StoreCall) -> Calls[Any]:
        if call.method != "sync":
            return (yield from self._timed(call))
        if len(self._functions) > self._most_held:
            raise Violation("capacity", self.name, "holds more steps than it may")
        asked_at = self.virtual_clock.now
        answer = yield from self._timed(call)
        request: SyncRequest = call.args[0]
        self.requests += 1
        self._functions.untold.difference_update(
            (outcome.step_id, outcome.claim_token) for outcome in request.outcomes
        )
        stood = [claim for claim in request.check_held if claim[0] not in answer.lost]
        stood += [(step.step_id, request.claim_token) for step in answer.claimed]
        self._confirmed.update(dict.fromkeys(stood, (asked_at, self.virtual_clock.now)))
        return answer

    def _timed(self, call: StoreCall) -> Calls[Any]:
        self.call_began = self.virtual_clock.now
        try:
            answer = yield call
            if self.virtual_clock.now - self.call_began > self._longest_gap:
                self.disturbed_at = self.virtual_clock.now
            return answer
        except StoreUnavailable:
            self.disturbed_at = self.virtual_clock.now
            raise
        finally:
            self.call_began = None

    def _check_begin(self, claim: tuple[str, str]) -> None:
        asked_at, answered_at = self._confirmed[claim]
        age = self.virtual_clock.now - answered_at
        if age > self.settings.claim_interval * SLACK:
            how = f"began {age:.1f} s after its claim was known to stand"
            raise Violation("what begins is claimed", claim[0], how)
        self._on_begin(claim, asked_at)

    def _began(self, step_id: str, claim_token: str, timeout: float) -> None:
        self._tell(partial(self.machine.began, step_id, claim_token, timeout, self.clock()))

    def _tell(self, news: News) -> None:
        self._inbox.append(news)
        self.wake()


class _Failures(Observer):
    """Keeps what should not happen to a pod, whatever happens to its store."""

    def __init__(self) -> None:
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raise it, if it has happened."""
        if self._error is not None:
            raise self._error

    def on_refused(self, outcomes: int, step: Step | None, error: Exception) -> None:
        self._error = error

    def on_not_stopped(self, step_id: str, error: Exception) -> None:
        self._error = error

    def on_recovery_ended(self, stats: RecoveryStats, error: Exception | None) -> None:
        self._take(error)

    def on_prune_ended(self, stats: PruneStats, error: Exception | None) -> None:
        self._take(error)

    def on_unexpected(self, error: BaseException, wait: float) -> None:
        self._error = error

    def on_failed(self, error: BaseException) -> None:
        self._take(error)

    def on_not_released(self, error: BaseException) -> None:
        self._take(error)

    def _take(self, error: BaseException | None) -> None:
        """Only these are the store's, or say that another process has taken the pod over."""
        if error is not None and not isinstance(error, StoreUnavailable | IncarnationEnded):
            self._error = error
