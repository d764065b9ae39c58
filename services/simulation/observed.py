"""What measures and promises look at."""

from __future__ import annotations

from typing import Protocol

from fleet_q.services.simulation.process import Process
from fleet_q.services.simulation.recording import RecordingDatabase
from fleet_q.services.simulation.safety_checks import SafetyChecks
from fleet_q.services.simulation.scenario import Scenario
from fleet_q.services.simulation.server import Server
from fleet_q.services.simulation.virtual_clock import VirtualClock


class Observed(Protocol):
    """The fleet, as those see it who change nothing in it."""

    scenario: Scenario
    virtual_clock: VirtualClock
    database: RecordingDatabase
    checks: SafetyChecks
    server: Server
    processes: dict[str, Process]
    died_at: dict[str, float]
    """By pod and number of the process."""
