"""Runs a fleet through its scenario."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import msgspec

from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import FleetQError
from fleet_q.core.ports import SubmitResult
from fleet_q.core.queues import QueueChange
from fleet_q.core.retry import MICROS, micros
from fleet_q.core.routing import Routes
from fleet_q.core.step import Complete, Step
from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.alert_checks import PROMISE as TOLD
from fleet_q.services.simulation.client import hold_locks, send
from fleet_q.services.simulation.end_checks import check_end
from fleet_q.services.simulation.liveness_checks import LivenessChecks
from fleet_q.services.simulation.measures import Measures
from fleet_q.services.simulation.models import store_model
from fleet_q.services.simulation.pod_process import PodProcess
from fleet_q.services.simulation.receiver import Receiver
from fleet_q.services.simulation.recording import RecordingDatabase
from fleet_q.services.simulation.records import HeldClaim, StepRecord, longest_gap
from fleet_q.services.simulation.safety_checks import SafetyChecks
from fleet_q.services.simulation.saving import Saver
from fleet_q.services.simulation.schedules import WorkById
from fleet_q.services.simulation.server import Server
from fleet_q.services.simulation.stale import StaleViews
from fleet_q.services.simulation.starts import Starts
from fleet_q.services.simulation.store_state import StoreState
from fleet_q.services.simulation.violation import Violation
from fleet_q.services.simulation.virtual_clock import EPOCH, Stopped, VirtualClock

SETTLE_TIMEOUT: Final = 12 * 3_600.0
"""Seconds within which every step ends once the faults are over. Backoff and most of the generated
queues take minutes; a store clock that was set back prolongs delays by as much. If only one pod may
take forty steps of ten minutes, it is busy for seven hours."""

RESTART_DELAY: Final = 30.0
"""Seconds after which a process that a step has killed, or that has given up its store, is
restarted, as by a supervisor."""

ALERT_TIMEOUT: Final = 2 * 3_600.0
"""Seconds within which all alerts are told at the end: twice the longest time between two tries."""

MEASURE_TIMEOUT: Final = 3_600.0
"""Seconds for which a fleet that is measured may go on after the end of the scenario."""

FINAL_GRACE: Final = 600.0
"""Seconds that pods have to drain at the end; longer than a setting, since locks that dead pods
still hold may delay them."""

PROGRESS_INTERVAL: Final = 60.0
"""Simulated seconds between two calls of ``on_progress``."""

UNFINISHED: Final = ("pending", "waiting", "claimed")


class Fleet:
    """Pods, clients, store, checks and measures of one run."""

    def __init__(self, scenario: sc.Scenario) -> None:
        self.scenario = scenario
        self.virtual_clock = VirtualClock()
        self.work = WorkById()
        for request in scenario.requests:
            if isinstance(request, sc.Submission):
                self.work.update((work.step_id, work) for work in request.steps)
            elif isinstance(request, sc.ScheduleSetting):
                self.work[request.work.step_id] = request.work
        dead_after = micros(scenario.settings.dead_pod_threshold)
        model = store_model(scenario.store, scenario.times, scenario.clusters)
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
            _may_take,
            scenario.settings.max_snoozes,
        )
        self.store_state = StoreState(
            self.virtual_clock,
            has_lock_queue=model.most_waiters is not None,
            longest_gap=longest_gap(scenario.settings),
        )
        self._stale: StaleViews | None = None
        if any(isinstance(f, sc.StaleReads | sc.RenewedSessions) for f in scenario.faults):
            chance = Random(f"{scenario.seed}/stale")
            self._stale = StaleViews(self.database, self.virtual_clock, chance)
            self.checks.reads_are_stale = True
        self.server = Server(
            self.virtual_clock,
            model,
            self.database,
            Random(f"{scenario.seed}/server"),
            on_done=self._on_done,
            on_death=self._on_death,
            state=self.store_state,
            refuses=self._is_too_large,
            stale=self._stale,
        )
        self.measures = Measures(self)
        self.processes: dict[str, PodProcess] = {}
        self.replaced: list[PodProcess] = []  # that lived when another began under their id
        self.accepted: set[str] = set()
        self.died_at: dict[str, float] = {}  # by process id
        self._rates = {pod.pod_id: pod.rate for pod in scenario.pods}
        self._routes = {pod.pod_id: Routes(pod.queues, pod.task_types) for pod in scenario.pods}
        self._by_hand = {pod.pod_id for pod in scenario.pods if pod.by_hand}
        self._numbers = dict.fromkeys(self._rates, 0)
        self._liveness = LivenessChecks(self)
        chance = Random(f"{scenario.seed}/receiver")
        self._receiver = Receiver(
            self.virtual_clock, chance, self.checks.alerts, faults_until=scenario.seconds
        )
        self._clients = 0
        self._open_requests = 0  # not answered yet
        self._closing = False

    def run(self) -> None:
        """Run all requests and faults, and then until every step has ended. Raises
        :class:`Violation` if a promise is broken."""
        scenario, virtual_clock = self.scenario, self.virtual_clock
        for pod in scenario.pods:
            virtual_clock.at(pod.at, self.begin, pod.pod_id)
        for request in scenario.requests:
            virtual_clock.at(request.at, self._send, request)
        for fault in scenario.faults:
            virtual_clock.at(fault.at, self._apply, fault)
        if not self.scenario.is_measured:
            self._liveness.begin()
        self.measures.begin()
        virtual_clock.run(scenario.seconds)
        self.measures.unfinished_at_end = self.checks.unfinished
        self._end_faults()
        self._settle()
        self.check_end()

    def begin(self, pod_id: str) -> None:
        """Start a process of the pod, even if another one is alive."""
        earlier = self.processes.get(pod_id)
        if earlier is not None and earlier.alive:
            self.replaced.append(earlier)
            self.checks.duplicated.add(pod_id)
        self._numbers[pod_id] += 1
        number = self._numbers[pod_id]
        process = PodProcess(
            pod_id,
            number,
            self.virtual_clock,
            self.server,
            self.scenario.settings,
            chance=Random(f"{self.scenario.seed}/{pod_id}/{number}"),
            traits=self.database.traits,
            rate=self._rates[pod_id],
            work=self.work,
            on_killed=self._on_killed_by_step,
            on_given_up=lambda process: self.virtual_clock.after(
                RESTART_DELAY, self._restart, process
            ),
            on_begin=lambda claim, at, checkpoint: self.checks.begins(
                *claim, EPOCH + micros(at), checkpoint
            ),
            on_saved=lambda claim, number: self.checks.saved(*claim, number),
            starts=self._starts,
            by_hand=pod_id in self._by_hand,
            routes=self._routes[pod_id],
            send_alert=self._receiver.send if self.scenario.has_alerts else None,
        )
        if self._starts is not None:
            self._starts.add(process)
        self.processes[pod_id] = process
        process.start()

    def _send(self, request: sc.Request) -> None:
        self._clients += 1
        chance = Random(f"{self.scenario.seed}/client/{self._clients}")
        client = Actor(sc.CLIENT, self.virtual_clock, self.server)
        self._open_requests += 1
        client.begin(
            send(
                request,
                self.virtual_clock,
                chance,
                self.database.traits,
                lambda results: self._on_request_done(request, results),
            )
        )

    def _on_request_done(self, request: sc.Request, results: Sequence[SubmitResult]) -> None:
        self._open_requests -= 1
        if not results or not isinstance(request, sc.Submission):
            return
        for work, result in zip(request.steps, results, strict=True):
            self.checks.unique_keys.answered(work, result)
            self.accepted.add(result.step_id)
        pod = self.processes.get(request.pod_id or "")
        if pod is not None and pod.alive and not pod.frozen:
            pod.work_arrived()

    def _apply(self, fault: sc.Fault) -> None:
        match fault:
            case sc.StoreOutage():
                self.server.begin_outage(fault.seconds)
            case sc.LongLock():
                outsider = Actor(sc.OUTSIDER, self.virtual_clock, self.server)
                outsider.begin(hold_locks(fault.seconds, tuple(self._rates)))
            case sc.Suspension():
                for suspended in (*self.processes.values(), *self.replaced):
                    if suspended.alive:
                        suspended.freeze(fault.seconds)
            case sc.StoreClock():
                self.virtual_clock.clock_shift += micros(fault.seconds)
                self.store_state.disturbed_at = self.virtual_clock.now
                self.checks.clock_set_at = self.virtual_clock.time()
            case sc.StaleReads():
                assert self._stale is not None
                self._stale.begin(fault)
            case sc.RenewedSessions():
                assert self._stale is not None
                self._stale.renew_sessions(fault.seconds)
            case sc.WaitingInserts():
                self.store_state.begin_waiting_inserts(fault.seconds)
            case sc.EarlyTimestamps():
                self.store_state.begin_early_timestamps(fault.seconds)
            case sc.LateRepeats():
                self.store_state.begin_late_repeats(fault.seconds, fault.delay)
            case sc.UnreachableStorage():
                self.store_state.begin_unreachable_storage(fault.pod_id, fault.seconds)
            case sc.TransactionFault():
                self.server.transaction_faults.setdefault(fault.pod_id, []).append(fault)
            case _:
                process = self.processes.get(fault.pod_id)
                if isinstance(fault, sc.Upgrade):
                    self._routes[fault.pod_id] = Routes(fault.queues, fault.task_types)
                if process is not None and process.alive:
                    self._disturb(process, fault)

    def _disturb(self, process: PodProcess, fault: sc.ProcessFault) -> None:
        match fault:
            case sc.Crash():
                self._on_death(process, fault.back_after)
            case sc.Freeze():
                process.freeze(fault.seconds)
            case sc.DuplicatePod():
                self.begin(fault.pod_id)
            case sc.Stop():
                process.drain(fault.grace)
                if fault.back_after is not None:
                    self.virtual_clock.after(fault.back_after, self._restart, process)
            case sc.Upgrade():
                process.drain()
                self.virtual_clock.after(fault.back_after, self._restart, process)
            case sc.ClockJump():
                process.jump(fault.seconds)

    def _on_killed_by_step(self, process: PodProcess, step: Step) -> None:
        self.checks.crashed_by(step.step_id)
        self._on_death(process, RESTART_DELAY)

    def _on_death(self, actor: Actor, back_after: float | None) -> None:
        if self._closing:  # no leader will remain to declare it dead
            return
        if isinstance(actor, Saver):
            actor = actor.process
        actor.kill()
        if actor.name == sc.CLIENT:
            self._open_requests -= 1
        if isinstance(actor, PodProcess):
            self.died_at[actor.process_id] = self.virtual_clock.now
        if back_after is not None and isinstance(actor, PodProcess):
            self.virtual_clock.after(back_after, self._restart, actor)

    def _restart(self, process: PodProcess) -> None:
        """Start the pod again, unless another process of it has been started."""
        if self.processes[process.name] is process and not self._closing:
            self.begin(process.name)

    def _on_done(self, actor: Actor, call: StoreCall, answer: Any) -> None:
        steps, pods = self.database.take()
        queues = self.database.take_queues()
        for event, _ in (*steps, *pods):
            if event is not None:
                self.database.written_at[event.stream, event.version] = self.virtual_clock.now
        self.measures.committed(call.method, steps)
        self.measures.pods_changed(pods)
        self.checks.early_by = self.database.early_by
        taken_in = self.database.take_taken_in()
        for name, alert in self.database.take_alerts():
            self.checks.alerts.written(name, alert, self.virtual_clock.store_time())
        schedules = self.database.take_schedules()
        self.checks.committed(actor, call, answer, steps, pods, queues, taken_in, schedules)
        if pruned := self.database.take_pruned():
            self.measures.pruned += len(pruned)
            self.checks.pruned(actor, pruned)

    def _silence(self, actor: Actor, since: int) -> int:
        """How long ``actor`` has waited in vain for a heartbeat of a pod whose last one was at
        ``since``: the longest time without a gap in which both the actor and the store were
        available, in microseconds of the actor's own clock."""
        assert isinstance(actor, PodProcess)
        begin, longest = max((since - EPOCH) / MICROS, actor.began_at), 0.0
        now = self.virtual_clock.now
        for gap_begin, gap_end in sorted((*actor.gaps, *self.store_state.gaps, (now, now))):
            if begin < min(gap_begin, now):
                longest = max(longest, actor.elapsed(begin, min(gap_begin, now)))
            begin = max(begin, gap_end)
        return micros(longest)

    def _began_before_death(self, actor: Actor, held: HeldClaim, step_id: str) -> bool | None:
        """Whether the function of a step that ``actor`` recovers began; ``None`` if it is
        unknown to the actor."""
        assert isinstance(actor, PodProcess)
        if self._starts is None or actor.call_began is None:
            return None
        return self._starts.began(held.incarnation, step_id, held.token, actor.call_began)

    def _is_too_large(self, call: StoreCall) -> bool:
        """Whether the call has a result that is larger than a bound value may be."""
        return call.method == "sync" and any(
            isinstance(outcome, Complete)
            and self.work[outcome.step_id].behaviour == "returns too much"
            for outcome in call.args[0].outcomes
        )

    def _end_faults(self) -> None:
        """Cancel outstanding faults, resume every queue, pause every schedule, and restart every
        pod that has no process."""
        self.server.transaction_faults.clear()
        self._let_all_end()
        for pod_id in sorted(self.processes):
            if not self.processes[pod_id].alive:
                self.begin(pod_id)

    def _let_all_end(self) -> None:
        """Resume every queue and pause every schedule, now and again: clients may have tried until
        now to do the opposite."""
        for queue in self.checks.queues.paused:
            self._send(sc.QueueSetting(self.virtual_clock.now, queue, QueueChange(paused=False)))
        for name in self.checks.schedules.active:
            self._send(sc.SchedulePause(self.virtual_clock.now, name, paused=True))
        if not self._closing:
            again = self.scenario.settings.recovery_interval
            self.virtual_clock.after(again, self._let_all_end)

    def _settle(self) -> None:
        """Run until every step has ended, and then, unless the fleet is measured, until every pod
        has drained."""
        settings = self.scenario.settings
        self._run_until(self._is_settled, self._first_unfinished)
        if self.scenario.is_measured:
            return
        self.virtual_clock.run(
            self.virtual_clock.now + settings.dead_pod_threshold + 3 * settings.recovery_interval
        )  # until dead pods are declared dead
        self._tell_alerts()
        self._closing = True
        self._end_faults()
        # A pod that drains before it has joined does not end the earlier incarnation of its id.
        self._run_until(lambda: self._first_joining() is None, self._first_joining)
        for process in (*self.processes.values(), *self.replaced):
            process.drain(FINAL_GRACE)
        self._run_until(lambda: self._first_not_down() is None, self._first_not_down)

    def _tell_alerts(self) -> None:
        """Run until every alert is told: all are accepted now."""
        until = self.virtual_clock.now + ALERT_TIMEOUT
        while (forgotten := self.checks.alerts.first_forgotten()) is not None:
            if self.virtual_clock.now >= until:
                raise Violation(TOLD, forgotten, "was not told although all is well")
            self.virtual_clock.run(
                self.virtual_clock.now + self.scenario.settings.recovery_interval
            )

    def _run_until(
        self, done: Callable[[], bool], first_not_done: Callable[[], str | None]
    ) -> None:
        is_measured = self.scenario.is_measured
        until = self.virtual_clock.now + (MEASURE_TIMEOUT if is_measured else SETTLE_TIMEOUT)
        while not done():
            if self.virtual_clock.now >= until:
                if is_measured:
                    return
                subject = first_not_done() or "nothing"
                raise Violation(
                    "every step ends", subject, "did not end after the faults were over"
                )
            self.virtual_clock.run(
                self.virtual_clock.now + self.scenario.settings.recovery_interval
            )

    def _is_settled(self) -> bool:
        return (
            (self.checks.unfinished == 0 or self._first_unfinished() is None)
            and self._open_requests == 0
            and not self.database.inbox
            and self.server.is_undisturbed()
        )

    def _first_unfinished(self) -> str | None:
        unfinished = ((i, r) for i, r in self.checks.steps.items() if r.status in UNFINISHED)
        return next((i for i, record in unfinished if not self._is_unserved(record)), None)

    def _is_unserved(self, record: StepRecord) -> bool:
        """Whether the step, or one that it waits for, waits for a pod that may take it, and none is
        alive."""
        if record.status == "waiting":
            return any(self._is_unserved(self.checks.steps[p]) for p in record.parents)
        return record.status == "pending" and not any(
            process.alive and process.may_take(record) for process in self.processes.values()
        )

    def _first_joining(self) -> str | None:
        phases = ((name, process.machine.phase) for name, process in self.processes.items())
        return next((name for name, phase in phases if phase == "joining"), None)

    def _first_not_down(self) -> str | None:
        return next((n for n, pod in self.checks.pods.items() if pod.status != "down"), None)

    def check_end(self) -> None:
        """Check the log and the tables at the end. Raises :class:`Violation`."""
        check_end(self.accepted, self.checks, self.database)


def _may_take(actor: Actor, record: StepRecord) -> bool:
    assert isinstance(actor, PodProcess)
    return actor.may_take(record)


class Outcome(msgspec.Struct):
    """The result of a run; ``violation`` is the broken promise, if any."""

    scenario: sc.Scenario
    violation: Violation | None
    fleet: Fleet


def simulate(
    scenario: sc.Scenario,
    on_progress: Callable[[float], object] | None = None,
    until: float = math.inf,
) -> Outcome:
    """Run the scenario. A broken promise or an error of the core is returned in the outcome.

    ``on_progress`` is called with the simulated seconds every :data:`PROGRESS_INTERVAL`; the run
    stops at ``until``, in seconds, if it has not ended by then.
    """
    fleet = Fleet(scenario)
    fleet.virtual_clock.at(until, fleet.virtual_clock.stop)
    if on_progress is not None:
        fleet.virtual_clock.every(PROGRESS_INTERVAL, on_progress)
    try:
        fleet.run()
    except Stopped:
        return Outcome(scenario, None, fleet)
    except Violation as violation:
        return Outcome(scenario, violation, fleet)
    except FleetQError as error:
        return Outcome(scenario, Violation("no error", type(error).__name__, str(error)), fleet)
    return Outcome(scenario, None, fleet)
