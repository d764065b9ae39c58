"""Liveness checks: what must happen within a time limit. They run at intervals, since the failure
is that nothing is written."""

from __future__ import annotations

import math
from typing import Final

from fleet_q.core.retry import MICROS
from fleet_q.core.routing import Routes
from fleet_q.core.worker.membership import Phase
from fleet_q.core.worker.pacing import LONGEST_JITTER
from fleet_q.services.simulation.observed import Observed
from fleet_q.services.simulation.pod_process import PodProcess
from fleet_q.services.simulation.records import SLACK
from fleet_q.services.simulation.violation import Violation
from fleet_q.services.simulation.virtual_clock import EPOCH

CALL_TIME: Final = 20.0
"""Seconds allowed for the store calls that follow an interval, on a store without delays."""

CALL_STATEMENTS: Final = 60
"""Statements that these calls may take one after another; most of them wait for those of other
pods."""

MAX_SYNCS: Final = 3
"""Syncs within which a pod reports a step that has ended, or starts one that it holds."""

MAX_CLAIM_INTERVALS: Final = 3
"""Claim intervals within which a pod releases a step that will not begin soon."""


class LivenessChecks:
    """Checks six promises while the store is undisturbed (:meth:`Server.is_undisturbed`).

    - Orphans are recovered: within one recovery interval of a working leader after their claim's
      incarnation has ended, or its pod has been silent for the dead-pod threshold. A new leader may
      wait for one threshold more, since it has not observed the silence.
    - Claimable steps are claimed: within one claim interval, and the jitter window, of a working
      pod with free slots that may take them, claims no others and is awake, or within the longest
      time between two of its polls of one that is asleep.
    - No step waits in vain: a pod releases steps that do not begin if another that may take them
      has free slots.
    - Held steps are run: a pod has no claim without a function that runs, waits or has just ended.
    - Schedules fire: within one recovery interval of a working leader after their time; if all pods
      sleep, within the time in which one notices that the leader is gone.
    - Some pod leads: if the pod of a claimed step is gone, one of the sleeping pods wakes.

    A pod works while its process is alive, not frozen, and answered by the store. Every disturbance
    begins the intervals anew. A leader must also be awake.
    """

    def __init__(self, fleet: Observed) -> None:
        self._fleet = fleet
        settings, model = fleet.scenario.settings, fleet.server.model
        call_time = CALL_TIME + CALL_STATEMENTS * (model.request + model.update)
        self._call_time = call_time
        self._recovery_limit = settings.recovery_interval * SLACK + call_time
        self._silence_limit = settings.dead_pod_threshold * SLACK + self._recovery_limit
        claim_limit = settings.claim_interval * SLACK + LONGEST_JITTER + call_time
        # Computed here and not by the core, so that an error of the core's back-off is noticed.
        sleep_poll = max(settings.claim_interval, settings.sleep_poll_interval)
        notice_limit = sleep_poll * SLACK + LONGEST_JITTER + call_time
        self._claim_limits: dict[Phase, float] = {"up": claim_limit, "asleep": notice_limit}
        self._waiting_limit = settings.claim_interval * SLACK * MAX_CLAIM_INTERVALS + call_time
        self._leader_limit = settings.dead_pod_threshold * SLACK + notice_limit
        self._sleeping_limit = self._leader_limit + notice_limit
        self._every = min(settings.recovery_interval, claim_limit) / 2
        self._leader: str | None = None
        self._leading_since = 0.0
        self._listening_since: dict[str, float] = {}  # by pod, while it is working and awake
        # By claim: the number of syncs answered when it was first seen not running.
        self._not_running: dict[tuple[str, str, bool], int] = {}
        self._has_slots_since: dict[str, tuple[Phase, float]] = {}  # by pod, while in that phase
        self._working_since: dict[str, float] = {}  # by pod
        self._asleep_since: dict[str, float] = {}  # by pod, while it is working

    def begin(self) -> None:
        """Check now and at intervals from now on. Raises :class:`Violation`."""
        fleet = self._fleet
        fleet.virtual_clock.after(self._every, self.begin)
        undisturbed = fleet.server.is_undisturbed()
        self._track_listening(undisturbed)
        self._check_orphans(undisturbed)
        self._check_claimable(undisturbed)
        self._check_waiting(undisturbed)
        self._check_leader(undisturbed)
        self._check_schedules(undisturbed)
        self._check_held()

    def _check_orphans(self, undisturbed: bool) -> None:
        fleet = self._fleet
        since = self._leader_working_since() if undisturbed else None
        if since is None:
            self._leading_since = fleet.virtual_clock.now
            return
        if fleet.virtual_clock.now - since <= self._recovery_limit:
            return
        checks, has_listened = fleet.checks, self._leader_has_listened()
        for step_id in fleet.database.by_status["claimed"]:
            held = checks.steps[step_id].held
            if held is None:
                continue
            orphaned = checks.orphaned_since(held)
            if orphaned is None and has_listened:
                orphaned = checks.silent_since(held)
            if orphaned is not None and self._age(orphaned) > self._recovery_limit:
                raise Violation("orphans are recovered", step_id, "is held by a pod that is gone")

    def _check_schedules(self, undisturbed: bool) -> None:
        fleet = self._fleet
        now, shift = fleet.virtual_clock.now, fleet.virtual_clock.clock_shift
        since = self._leader_working_since() if undisturbed else None
        limit = self._recovery_limit
        if since is None:
            since, limit = self._sleeping_since(), self._sleeping_limit
        if since is None or now - since <= limit:
            return
        for name, timetable in fleet.checks.schedules.timetables.items():
            due = max(timetable.undecided - shift, timetable.changed, fleet.checks.clock_set_at)
            if timetable.is_active and self._age(due) > limit:
                raise Violation("schedules fire", name, "does not fire although its time has come")

    def _sleeping_since(self) -> float | None:
        """Since when some pod that polls has slept undisturbed; uses ``_asleep_since``, which
        :meth:`_check_leader` keeps."""
        pods = ((self._fleet.processes[pod_id], at) for pod_id, at in self._asleep_since.items())
        times = (max(at, process.disturbed_at) for process, at in pods if process.has_free_slots)
        return min(times, default=None)

    def _track_listening(self, undisturbed: bool) -> None:
        for pod_id, process in self._fleet.processes.items():
            if undisturbed and process.machine.phase == "up" and self._is_working(process):
                self._listening_since.setdefault(pod_id, self._fleet.virtual_clock.now)
            else:
                self._listening_since.pop(pod_id, None)

    def _leader_has_listened(self) -> bool:
        """Whether the leader has worked for long enough to declare a silent pod dead."""
        fleet = self._fleet
        leader = fleet.checks.leader(fleet.virtual_clock.store_time()) or ""
        since = self._listening_since.get(leader, fleet.virtual_clock.now)
        process = fleet.processes[leader]
        since = max(since, process.disturbed_at, fleet.store_state.disturbed_at)
        return fleet.virtual_clock.now - since > self._silence_limit

    def _leader_working_since(self) -> float | None:
        fleet = self._fleet
        leader = fleet.processes.get(fleet.checks.leader(fleet.virtual_clock.store_time()) or "")
        incarnation = leader.machine.incarnation if leader is not None else None
        if incarnation != self._leader:
            self._leader, self._leading_since = incarnation, fleet.virtual_clock.now
        if leader is None or leader.machine.phase != "up" or not self._is_working(leader):
            return None
        return max(self._leading_since, leader.disturbed_at, fleet.store_state.disturbed_at)

    def _check_claimable(self, undisturbed: bool) -> None:
        fleet = self._fleet
        now = fleet.virtual_clock.now
        # By routes: the shortest limit within which some pod would have claimed, and that pod.
        idle: dict[Routes, tuple[float, PodProcess]] = {}
        for pod_id, process in fleet.processes.items():
            phase = process.machine.phase
            limit = self._claim_limits.get(phase, math.inf)
            has_slots = limit < math.inf and process.has_free_slots
            if not (undisturbed and has_slots and self._is_working(process)):
                self._has_slots_since.pop(pod_id, None)
                continue
            before = self._has_slots_since.get(pod_id)
            since = before[1] if before is not None and before[0] == phase else now
            self._has_slots_since[pod_id] = (phase, since)
            idle_for = now - max(since, process.disturbed_at, process.last_claimed_at)
            if limit < min(idle_for, idle.get(process.routes, (math.inf, process))[0]):
                idle[process.routes] = (limit, process)
        for limit, process in idle.values():
            self._check_claimable_by(process, limit)

    def _check_claimable_by(self, process: PodProcess, limit: float) -> None:
        """Check the first step that the pod may claim, and would within ``limit`` seconds."""
        fleet = self._fleet
        step_id = fleet.checks.first_claimable(process, fleet.virtual_clock.store_time())
        if step_id is None:
            return
        record = fleet.checks.steps[step_id]
        due = record.available - fleet.virtual_clock.clock_shift
        room = fleet.checks.queues.has_had_room_since(record)
        since = max(record.changed, due, fleet.checks.clock_set_at, room or 0)
        if room is not None and self._age(since) > limit:
            how = f"is not claimed, though {process.name} has free slots"
            raise Violation("claimable steps are claimed", step_id, how)

    def _check_waiting(self, undisturbed: bool) -> None:
        """Uses ``_has_slots_since``, which :meth:`_check_claimable` keeps."""
        fleet = self._fleet
        now = fleet.virtual_clock.now
        free_for = {pod_id: now - since for pod_id, (_, since) in self._has_slots_since.items()}
        for pod_id, process in fleet.processes.items():
            if not undisturbed or process.machine.phase != "up" or not self._is_working(process):
                self._working_since.pop(pod_id, None)
                continue
            since = max(self._working_since.setdefault(pod_id, now), process.disturbed_at)
            waiting = process.longest_waiting()
            if waiting is None or now - max(since, waiting[1]) <= self._waiting_limit:
                continue
            if any(
                seconds > self._waiting_limit
                for other, seconds in free_for.items()
                if other != pod_id
                and fleet.processes[other].may_take(fleet.checks.steps[waiting[0]])
            ):
                raise Violation(
                    "no step waits in vain",
                    waiting[0],
                    f"waits in {pod_id} while another pod has free slots",
                )

    def _check_leader(self, undisturbed: bool) -> None:
        fleet, checks = self._fleet, self._fleet.checks
        now = fleet.virtual_clock.now
        asleep = [now]
        for pod_id, process in fleet.processes.items():
            if undisturbed and process.machine.phase == "asleep" and self._is_working(process):
                since = self._asleep_since.setdefault(pod_id, now)
                asleep.append(max(since, process.disturbed_at))
            else:
                self._asleep_since.pop(pod_id, None)
        if (
            now - min(asleep) <= self._leader_limit
            or self._age(checks.leaderless_since()) <= self._leader_limit
        ):
            return
        for step_id in fleet.database.by_status["claimed"]:
            record = checks.steps[step_id]
            silent = checks.silent_since(record.held) if record.held is not None else None
            if silent is not None and self._age(max(silent, record.changed)) > self._leader_limit:
                raise Violation("some pod leads", step_id, "is held by a pod that is gone")

    def _check_held(self) -> None:
        fleet = self._fleet
        before, self._not_running = self._not_running, {}
        for step_id in fleet.database.by_status["claimed"]:
            held = fleet.checks.steps[step_id].held
            if held is None:
                continue
            process = fleet.processes[held.pod_id]
            if process.machine.incarnation != held.incarnation:
                continue
            if process.is_running(step_id, held.token):
                continue
            claim = (step_id, held.token, process.was_started(step_id, held.token))
            self._not_running[claim] = before.get(claim, process.requests)
            if process.requests - self._not_running[claim] > MAX_SYNCS:
                raise Violation(
                    "held steps are run", step_id, f"is held by {held.pod_id} and not run"
                )

    def _is_working(self, process: PodProcess) -> bool:
        began = process.call_began
        waits = began is not None and process.virtual_clock.now - began > self._call_time / 2
        return process.alive and not process.frozen and not waits

    def _age(self, ts: int) -> float:
        return self._fleet.virtual_clock.now - (ts - EPOCH) / MICROS
