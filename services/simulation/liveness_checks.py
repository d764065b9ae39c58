"""What must happen in the end: looked at every now and then, not only when something is written."""

from __future__ import annotations

from typing import Final

from fleet_q.core.capacity import slots
from fleet_q.core.retry import MICROS
from fleet_q.core.worker.pacing import LONGEST_JITTER
from fleet_q.services.simulation.observed import Observed
from fleet_q.services.simulation.process import Process
from fleet_q.services.simulation.records import SLACK
from fleet_q.services.simulation.violation import Violation
from fleet_q.services.simulation.virtual_clock import EPOCH

CALLS: Final = 20.0
"""Seconds that the calls of the store may take that are needed on top of an interval."""

TURNS: Final = 3
"""Turns within which a pod tells of what has ended, and hears of what it holds."""


HORIZONS: Final = 3
"""Claim intervals within which a pod notices that a step which it holds will not begin soon."""


class LivenessChecks:
    """Holds the fleet to five promises, in times of calm.

    Once a claim's pod has ended, or been silent for the dead-pod threshold, one recovery interval
    of a leader that works is enough for its steps to be back; if the leader has just begun to, and
    so has not heard the silence, it takes a threshold more. And once a step may be claimed, one
    claim interval of a pod that works and has room is enough for it to be claimed, and the time
    that pods spread over that are called at once. And what a pod that works holds, it runs, or has
    just run, or will soon: while another pod has room, no step waits in vain for its function to
    begin. And if a pod that holds steps is gone, and all others sleep, one of them wakes to lead.

    A pod works while its process lives and moves, and the store answers it; whatever disturbs it
    begins the interval anew. A leader must be awake, too.
    """

    def __init__(self, fleet: Observed) -> None:
        self._fleet = fleet
        settings = fleet.scenario.settings
        self._recovery = settings.recovery_interval * SLACK + CALLS
        self._hearing = settings.dead_pod_threshold * SLACK + self._recovery
        self._claim = settings.claim_interval * SLACK + LONGEST_JITTER + CALLS
        self._hoarding = settings.claim_interval * SLACK * HORIZONS + CALLS
        self._sleeping = settings.dead_pod_threshold * SLACK + self._claim
        self._every = min(settings.recovery_interval, self._claim) / 2
        self._slots = slots(settings.max_parallelism, settings.capacity_threshold)
        self._leader: str | None = None
        self._leads_since = 0.0
        self._hears_since: dict[str, float] = {}  # by pod, while it works and is awake
        self._idle: dict[tuple[str, str, bool], int] = {}  # turns at which a claim did not run
        self._has_room_since: dict[str, float] = {}  # by pod
        self._works_since: dict[str, float] = {}  # by pod
        self._sleeps_since: dict[str, float] = {}  # by pod, while it works

    def begin(self) -> None:
        """Look, from now on."""
        fleet = self._fleet
        fleet.virtual_clock.after(self._every, self.begin)
        calm = fleet.server.is_calm()
        self._look_who_hears(calm)
        self._look_for_orphans(calm)
        self._look_for_work(calm)
        self._look_for_hoards(calm)
        self._look_for_leaders(calm)
        self._look_for_leaks()

    def _look_for_orphans(self, calm: bool) -> None:
        fleet = self._fleet
        since = self._leader_works_since() if calm else None
        if since is None:
            self._leads_since = fleet.virtual_clock.now
            return
        if fleet.virtual_clock.now - since <= self._recovery:
            return
        checks, hears = fleet.checks, self._has_heard_for_long()
        for step_id in fleet.database.by_status["claimed"]:
            held = checks.steps[step_id].held
            if held is None:
                continue
            orphaned = checks.orphaned_since(held)
            if orphaned is None and hears:
                orphaned = checks.silent_since(held)
            if orphaned is not None and self._age(orphaned) > self._recovery:
                raise Violation("orphans come back", step_id, "has a holder that is gone")

    def _look_who_hears(self, calm: bool) -> None:
        for pod_id, process in self._fleet.processes.items():
            if calm and process.machine.phase == "up" and self._works(process):
                self._hears_since.setdefault(pod_id, self._fleet.virtual_clock.now)
            else:
                self._hears_since.pop(pod_id, None)

    def _has_heard_for_long(self) -> bool:
        """Whether the leader has been there for as long as it takes to miss a pod."""
        fleet = self._fleet
        leader = fleet.checks.leader(fleet.virtual_clock.store_time()) or ""
        since = self._hears_since.get(leader, fleet.virtual_clock.now)
        process = fleet.processes[leader]
        since = max(since, process.disturbed_at, fleet.server.disturbed_at)
        return fleet.virtual_clock.now - since > self._hearing

    def _leader_works_since(self) -> float | None:
        fleet = self._fleet
        leader = fleet.processes.get(fleet.checks.leader(fleet.virtual_clock.store_time()) or "")
        incarnation = leader.machine.incarnation if leader is not None else None
        if incarnation != self._leader:
            self._leader, self._leads_since = incarnation, fleet.virtual_clock.now
        if leader is None or leader.machine.phase != "up" or not self._works(leader):
            return None
        return max(self._leads_since, leader.disturbed_at, fleet.server.disturbed_at)

    def _look_for_work(self, calm: bool) -> None:
        fleet = self._fleet
        now = fleet.virtual_clock.now
        idle = False
        for pod_id, process in fleet.processes.items():
            awake = process.machine.phase in ("up", "asleep")
            if calm and awake and process.machine.running < self._slots and self._works(process):
                since = self._has_room_since.setdefault(pod_id, now)
                idle = idle or now - max(since, process.disturbed_at) > self._claim
            else:
                self._has_room_since.pop(pod_id, None)
        visible = fleet.checks.queue.first(fleet.virtual_clock.store_time()) if idle else None
        if visible is not None:
            step_id = visible[2]
            record = fleet.checks.steps[step_id]
            due = record.available - fleet.virtual_clock.clock_shift
            if self._age(max(record.changed, due, fleet.checks.clock_set_at)) > self._claim:
                raise Violation("work is found", step_id, "is not claimed by anyone with room")

    def _look_for_hoards(self, calm: bool) -> None:
        """Relies on what :meth:`_look_for_work` has found out."""
        fleet = self._fleet
        now = fleet.virtual_clock.now
        room_for = {pod_id: now - since for pod_id, since in self._has_room_since.items()}
        for pod_id, process in fleet.processes.items():
            if not calm or process.machine.phase != "up" or not self._works(process):
                self._works_since.pop(pod_id, None)
                continue
            since = max(self._works_since.setdefault(pod_id, now), process.disturbed_at)
            waiting = process.longest_waiting()
            if waiting is None or now - max(since, waiting[1]) <= self._hoarding:
                continue
            if any(room > self._hoarding for other, room in room_for.items() if other != pod_id):
                raise Violation("nothing is hoarded", waiting[0], f"waits in {pod_id} in vain")

    def _look_for_leaders(self, calm: bool) -> None:
        fleet, checks = self._fleet, self._fleet.checks
        now = fleet.virtual_clock.now
        asleep = [now]
        for pod_id, process in fleet.processes.items():
            if calm and process.machine.phase == "asleep" and self._works(process):
                since = self._sleeps_since.setdefault(pod_id, now)
                asleep.append(max(since, process.disturbed_at))
            else:
                self._sleeps_since.pop(pod_id, None)
        if now - min(asleep) <= self._sleeping or self._age(checks.unled_since()) <= self._sleeping:
            return
        for step_id in fleet.database.by_status["claimed"]:
            record = checks.steps[step_id]
            silent = checks.silent_since(record.held) if record.held is not None else None
            if silent is not None and self._age(max(silent, record.changed)) > self._sleeping:
                raise Violation("somebody leads", step_id, "has a holder that is gone")

    def _look_for_leaks(self) -> None:
        fleet = self._fleet
        before, self._idle = self._idle, {}
        for step_id in fleet.database.by_status["claimed"]:
            held = fleet.checks.steps[step_id].held
            if held is None:
                continue
            process = fleet.processes[held.pod_id]
            if process.machine.incarnation != held.incarnation:
                continue
            if process.runs(step_id, held.token):
                continue
            claim = (step_id, held.token, process.has_run(step_id, held.token))
            self._idle[claim] = before.get(claim, process.requests)
            if process.requests - self._idle[claim] > TURNS:
                raise Violation("what is held is run", step_id, f"is held by {held.pod_id} in vain")

    def _works(self, process: Process) -> bool:
        began = process.call_began
        waits = began is not None and process.virtual_clock.now - began > CALLS / 2
        return process.alive and not process.frozen and not waits

    def _age(self, ts: int) -> float:
        return self._fleet.virtual_clock.now - (ts - EPOCH) / MICROS
