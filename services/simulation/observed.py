"""The view of a fleet that measures and checks read."""

from __future__ import annotations

from typing import Protocol

from fleet_q.services.simulation.pod_process import PodProcess
from fleet_q.services.simulation.recording import RecordingDatabase
from fleet_q.services.simulation.safety_checks import SafetyChecks
from fleet_q.services.simulation.scenario import Scenario
from fleet_q.services.simulation.server import Server
from fleet_q.services.simulation.store_state import StoreState
from fleet_q.services.simulation.virtual_clock import VirtualClock


class Observed(Protocol):
    """The parts of a fleet that are read but not changed."""

    scenario: Scenario
    virtual_clock: VirtualClock
    database: RecordingDatabase
    checks: SafetyChecks
    server: Server
    store_state: StoreState
    processes: dict[str, PodProcess]
    died_at: dict[str, float]
    """Seconds since the start, by process id."""
