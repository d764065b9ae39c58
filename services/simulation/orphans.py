"""Whether what dead pods held is back in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet_q.core.retry import MICROS
from fleet_q.services.simulation.agenda import EPOCH
from fleet_q.services.simulation.violation import Violation

if TYPE_CHECKING:
    from fleet_q.services.simulation.fleet import Fleet
    from fleet_q.services.simulation.process import Process

SLACK: Final = 1.25
"""How much longer than an interval by the store's clock one by a drifting pod's clock may be."""

CYCLE: Final = 20.0
"""Seconds that a recovery cycle, and the pod's turn in front of it, may take."""


class OrphanWatch:
    """Looks every now and then: once a claim's pod has ended, or been silent for the dead-pod
    threshold, one recovery interval of a leader that works has to be enough.

    A leader works while its process lives, moves and is awake, and the store answers it; whatever
    disturbs it begins the interval anew.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        settings = fleet.scenario.settings
        self._every = settings.recovery_interval / 2
        self._bound = settings.recovery_interval * SLACK + CYCLE
        self._leader: object = None
        self._leads_since = 0.0

    def begin(self) -> None:
        """Look, from now on."""
        self._look()

    def _look(self) -> None:
        fleet = self._fleet
        now = fleet.agenda.now
        fleet.agenda.after(self._every, self._look)
        calm_since = self._calm_since()
        if calm_since is None or now - calm_since <= self._bound:
            return
        at = fleet.agenda.store_time()
        for step_id in fleet.ledger.by_status["claimed"]:
            held = fleet.checks.steps[step_id].held
            if held is None:
                continue
            since = fleet.checks.is_orphaned(held, at)
            if since is not None and now - (since - EPOCH) / MICROS > self._bound:
                raise Violation("orphans come back", step_id, f"is still held by {held.pod_id}")

    def _calm_since(self) -> float | None:
        """Since when a leader has been able to work; ``None`` if there is none now."""
        fleet = self._fleet
        now = fleet.agenda.now
        name = fleet.checks.oldest_live(fleet.agenda.store_time())
        leader = fleet.processes.get(name or "")
        calm = fleet.server.is_calm()
        incarnation = leader.machine.incarnation if leader is not None else None
        if incarnation != self._leader:
            self._leader, self._leads_since = incarnation, now
        if leader is None or not calm or not self._works(leader):
            self._leads_since = now
            return None
        return max(self._leads_since, leader.disturbed_at, fleet.server.disturbed_at)

    def _works(self, leader: Process) -> bool:
        waits = leader.call_began is not None and leader.agenda.now - leader.call_began > CYCLE / 2
        return leader.alive and not leader.frozen and leader.machine.phase == "up" and not waits
