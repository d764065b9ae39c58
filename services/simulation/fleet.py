"""A fleet put through its scenario."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from fleet_q.core.audit import audit
from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import FleetQError
from fleet_q.core.event_store import EventStore
from fleet_q.core.retry import MICROS, micros
from fleet_q.core.step import Step
from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.client import ask, hold_locks
from fleet_q.services.simulation.liveness_checks import LivenessChecks
from fleet_q.services.simulation.measures import Measures
from fleet_q.services.simulation.models import MODELS
from fleet_q.services.simulation.process import Process
from fleet_q.services.simulation.recording import RecordingDatabase
from fleet_q.services.simulation.records import Held, longest_gap
from fleet_q.services.simulation.safety_checks import SafetyChecks
from fleet_q.services.simulation.server import Server
from fleet_q.services.simulation.starts import Starts
from fleet_q.services.simulation.violation import Violation
from fleet_q.services.simulation.virtual_clock import EPOCH, Stopped, VirtualClock

PATIENCE: Final = 6 * 3_600.0
"""Seconds within which everything ends once the trouble is over: the backoff between two tries is
bounded by minutes, and so is every queue that is drawn; a delay is waited for again for as long as
the clock was set back."""

REVIVAL: Final = 30.0
"""Seconds after which a process that a step has killed begins again, as its supervisor would."""

LAST_GRACE: Final = 600.0
"""Seconds that everyone has to leave at the end: what is left of the trouble, such as locks that
the dead still hold, may keep them."""

TELL_EVERY: Final = 900.0
"""Seconds of the simulation after which somebody who waits is told of it."""

UNFINISHED: Final = ("pending", "claimed")


class Fleet:
    """Everything there is, for one run. ``run`` raises :class:`Violation` if a promise breaks."""

    def __init__(self, scenario: sc.Scenario) -> None:
        self.scenario = scenario
        self.virtual_clock = VirtualClock()
        self.work = {
            work.step_id: work
            for request in scenario.requests
            if isinstance(request, sc.Submission)
            for work in request.steps
        }
        dead_after = micros(scenario.settings.dead_pod_threshold)
        model = MODELS[scenario.store]
        if model.most_waiters is not None:
            model = msgspec.structs.replace(model, most_waiters=scenario.most_waiters)
        self.database = RecordingDatabase(self.virtual_clock.store_time, model.traits)
        self._starts = Starts() if model.records_starts else None
        prune_after = scenario.settings.prune_after
        self.checks = SafetyChecks(
            self.work,
            dead_after,
            self.virtual_clock.time,
            self._silence,
            math.inf if prune_after is None else micros(prune_after),
            self._began_before_death,
        )
        self.server = Server(
            self.virtual_clock,
            model,
            self.database,
            Random(f"{scenario.seed}/server"),
            told=self._told,
            died=self._died,
            longest_gap=longest_gap(scenario.settings),
        )
        self.measures = Measures(self)
        self.processes: dict[str, Process] = {}
        self.doubles: list[Process] = []
        self.accepted: set[str] = set()
        self.died_at: dict[str, float] = {}  # by pod and number of the process
        self._rates = {pod.pod_id: pod.rate for pod in scenario.pods}
        self._numbers = dict.fromkeys(self._rates, 0)
        self._liveness = LivenessChecks(self)
        self._clients = 0
        self._asking = 0  # clients without an answer
        self._closing = False

    def run(self) -> None:
        """Go through the trouble, and on until everything has ended."""
        scenario, virtual_clock = self.scenario, self.virtual_clock
        for pod in scenario.pods:
            virtual_clock.at(pod.at, self.begin, pod.pod_id)
        for request in scenario.requests:
            virtual_clock.at(request.at, self._request, request)
        for fault in scenario.faults:
            virtual_clock.at(fault.at, self._strike, fault)
        if not self.scenario.sized:
            self._liveness.begin()
        self.measures.begin()
        virtual_clock.run(scenario.seconds)
        self._heal()
        self._settle()
        self.check_end()

    def begin(self, pod_id: str) -> None:
        """Start a process of the pod, whether or not another one lives."""
        earlier = self.processes.get(pod_id)
        if earlier is not None and earlier.alive:
            self.doubles.append(earlier)
            self.checks.shared.add(pod_id)
        self._numbers[pod_id] += 1
        number = self._numbers[pod_id]
        process = Process(
            pod_id,
            number,
            self.virtual_clock,
            self.server,
            self.scenario.settings,
            chance=Random(f"{self.scenario.seed}/{pod_id}/{number}"),
            traits=self.database.traits,
            rate=self._rates[pod_id],
            work=self.work,
            killed=self._killed_by_step,
            on_begin=lambda claim, at: self.checks.begins(*claim, EPOCH + micros(at)),
            starts=self._starts,
        )
        if self._starts is not None:
            self._starts.add(process)
        self.processes[pod_id] = process
        process.start()

    def _request(self, request: sc.Request) -> None:
        self._clients += 1
        chance = Random(f"{self.scenario.seed}/client/{self._clients}")
        client = Actor(sc.CLIENT, self.virtual_clock, self.server)
        self._asking += 1
        client.begin(
            ask(request, self.virtual_clock, chance, lambda done: self._answered(request, done))
        )

    def _answered(self, request: sc.Request, done: bool) -> None:
        self._asking -= 1
        if not done or not isinstance(request, sc.Submission):
            return
        self.accepted.update(work.step_id for work in request.steps)
        pod = self.processes.get(request.pod_id or "")
        if pod is not None and pod.alive and not pod.frozen:
            pod.work_arrived()

    def _strike(self, fault: sc.Fault) -> None:
        if isinstance(fault, sc.StoreOutage):
            self.server.go_away(fault.seconds)
            return
        if isinstance(fault, sc.LongLock):
            stranger = Actor(sc.STRANGER, self.virtual_clock, self.server)
            stranger.begin(hold_locks(fault.seconds, tuple(self._rates)))
            return
        if isinstance(fault, sc.Suspension):
            for each in (*self.processes.values(), *self.doubles):
                if each.alive:
                    each.freeze(fault.seconds)
            return
        if isinstance(fault, sc.StoreClock):
            self.virtual_clock.clock_shift += micros(fault.seconds)
            self.server.disturbed_at = self.virtual_clock.now
            self.checks.clock_set_at = self.virtual_clock.time()
            return
        if isinstance(fault, sc.TransactionFault):
            self.server.strikes.setdefault(fault.pod_id, []).append(fault)
            return
        process = self.processes.get(fault.pod_id)
        if process is None or not process.alive:
            return
        match fault:
            case sc.Crash():
                self._died(process, fault.back_after)
            case sc.Freeze():
                process.freeze(fault.seconds)
            case sc.DuplicatePod():
                self.begin(fault.pod_id)
            case sc.Stop():
                process.drain(fault.grace)
                if fault.back_after is not None:
                    self.virtual_clock.after(fault.back_after, self._restart, process)
            case sc.ClockJump():
                process.leap(fault.seconds)

    def _killed_by_step(self, process: Process, step: Step) -> None:
        self.checks.crashed_by(step.step_id)
        self._died(process, REVIVAL)

    def _died(self, actor: Actor, back_after: float | None) -> None:
        if self._closing:  # nobody would be left to declare it dead
            return
        actor.kill()
        if actor.name == sc.CLIENT:
            self._asking -= 1
        if isinstance(actor, Process):
            self.died_at[f"{actor.name}/{actor.number}"] = self.virtual_clock.now
        if back_after is not None and isinstance(actor, Process):
            self.virtual_clock.after(back_after, self._restart, actor)

    def _restart(self, process: Process) -> None:
        """Begin again, unless another process has come in between."""
        if self.processes[process.name] is process and not self._closing:
            self.begin(process.name)

    def _told(self, actor: Actor, call: StoreCall, answer: Any) -> None:
        steps, pods = self.database.take()
        events = [event for event, _ in (*steps, *pods) if event is not None]
        self.database.written_at |= {(e.stream, e.version): self.virtual_clock.now for e in events}
        self.measures.committed(steps)
        self.checks.committed(actor, call, answer, steps, pods)
        if pruned := self.database.take_pruned():
            self.measures.pruned += len(pruned)
            self.checks.pruned(actor, pruned)

    def _silence(self, actor: Actor, since: int) -> int:
        """The longest time without a gap for which ``actor`` has been there to hear a pod that was
        heard of last at ``since``, and the store for that pod to be heard; in microseconds of the
        actor's own clock."""
        assert isinstance(actor, Process)
        begin, longest = max((since - EPOCH) / MICROS, actor.began_at), 0.0
        now = self.virtual_clock.now
        for gap_begin, gap_end in sorted((*actor.gaps, *self.server.gaps, (now, now))):
            if begin < min(gap_begin, now):
                longest = max(longest, actor.elapsed(begin, min(gap_begin, now)))
            begin = max(begin, gap_end)
        return micros(longest)

    def _began_before_death(self, actor: Actor, held: Held, step_id: str) -> bool | None:
        """Whether the function of a step that ``actor`` recovers began; ``None`` if it could not
        know that."""
        assert isinstance(actor, Process)
        if self._starts is None or actor.call_began is None:
            return None
        return self._starts.began(held.incarnation, step_id, held.token, actor.call_began)

    def _heal(self) -> None:
        """The trouble is over: nothing is armed any more, and every pod has a process."""
        self.server.strikes.clear()
        for pod_id in sorted(self.processes):
            if not self.processes[pod_id].alive:
                self.begin(pod_id)

    def _settle(self) -> None:
        """Everything ends, and then everyone leaves in good order."""
        settings = self.scenario.settings
        self._run_until(self._is_settled, self._unsettled)
        self.virtual_clock.run(
            self.virtual_clock.now + settings.dead_pod_threshold + 3 * settings.recovery_interval
        )  # so that the dead are declared so
        self._closing = True
        self._heal()
        # Who is told to leave before it has joined does not end what was there under its id.
        self._run_until(lambda: self._still_outside() is None, self._still_outside)
        for process in (*self.processes.values(), *self.doubles):
            process.drain(LAST_GRACE)
        self._run_until(lambda: self._still_there() is None, self._still_there)

    def _run_until(self, done: Callable[[], bool], who_is_not: Callable[[], str | None]) -> None:
        until = self.virtual_clock.now + PATIENCE
        while not done():
            if self.virtual_clock.now >= until:
                if self.scenario.sized:
                    return
                subject = who_is_not() or "nothing"
                raise Violation("everything ends", subject, "did not, with no trouble left")
            self.virtual_clock.run(
                self.virtual_clock.now + self.scenario.settings.recovery_interval
            )

    def _is_settled(self) -> bool:
        return self.checks.unfinished == 0 and self._asking == 0 and self.server.is_calm()

    def _unsettled(self) -> str | None:
        return next((i for i, r in self.checks.steps.items() if r.status in UNFINISHED), None)

    def _still_outside(self) -> str | None:
        phases = ((name, process.machine.phase) for name, process in self.processes.items())
        return next((name for name, phase in phases if phase == "joining"), None)

    def _still_there(self) -> str | None:
        return next((n for n, pod in self.checks.pods.items() if pod.status != "down"), None)

    def check_end(self) -> None:
        """What can be read from the log and the tables when all is over."""
        for step_id in sorted(self.accepted):
            if step_id not in self.checks.steps:
                raise Violation("nothing lost", step_id, "was accepted and is not there")
        for step_id, record in self.checks.steps.items():
            events = len(self.database.step_log.get(step_id, ()))
            if record.pruned and events:
                raise Violation("pruning", step_id, "was pruned and has events")
            if not record.pruned and events < record.version:
                raise Violation("nothing lost", step_id, "has lost events")
        store = EventStore(self.database)
        for fault in audit(store.step_events()).faults:
            raise Violation("the log", fault.partition(":")[0], fault)
        report = store.rebuild(check=True)
        for differing in (*report.differing_steps, *report.differing_pods):
            raise Violation("tables", differing, "is not what the log adds up to")


class Outcome(msgspec.Struct):
    """How a run went."""

    scenario: sc.Scenario
    violation: Violation | None
    fleet: Fleet


def simulate(
    scenario: sc.Scenario,
    passed: Callable[[float], object] | None = None,
    until: float = math.inf,
) -> Outcome:
    """Run the scenario; a broken promise is in the outcome, and so is any error of the core.

    ``passed`` is told now and then how many seconds have gone by; ``until`` is when to stop, if it
    is not over by then.
    """
    fleet = Fleet(scenario)
    fleet.virtual_clock.at(until, fleet.virtual_clock.stop)
    if passed is not None:
        fleet.virtual_clock.every(TELL_EVERY, passed)
    try:
        fleet.run()
    except Stopped:
        return Outcome(scenario, None, fleet)
    except Violation as violation:
        return Outcome(scenario, violation, fleet)
    except FleetQError as error:
        return Outcome(scenario, Violation("no error", type(error).__name__, str(error)), fleet)
    return Outcome(scenario, None, fleet)
