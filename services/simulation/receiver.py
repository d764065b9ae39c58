"""The receiver of alerts, and the way of an alert to it: a thread of a pod's process."""

from __future__ import annotations

from random import Random
from typing import Final

from fleet_q.core.alerts import Alert
from fleet_q.services.simulation.alert_checks import AlertChecks
from fleet_q.services.simulation.pod_process import PodProcess
from fleet_q.services.simulation.virtual_clock import VirtualClock

REFUSED: Final = 0.3
"""The share of alerts that the receiver does not accept, until its faults are over."""

LONGEST_WAY: Final = 3.0
"""Seconds that an alert takes to the receiver at most, and its answer."""


class Receiver:
    """Accepts alerts; until the time ``faults_until`` not all."""

    def __init__(
        self, virtual_clock: VirtualClock, chance: Random, checks: AlertChecks, faults_until: float
    ) -> None:
        self._virtual_clock = virtual_clock
        self._chance = chance
        self._checks = checks
        self._faults_until = faults_until

    def send(self, process: PodProcess, alert: Alert) -> None:
        """A process begins to send an alert."""
        self._after_a_while(self._arrive, process, alert)

    def _arrive(self, process: PodProcess, alert: Alert) -> None:
        if not process.alive:
            return
        if process.frozen:
            self._virtual_clock.at(process.frozen_until, self._arrive, process, alert)
            return
        is_faulty = self._virtual_clock.now < self._faults_until
        if is_faulty and self._chance.random() < REFUSED:
            return
        self._checks.received(alert)
        self._after_a_while(process.on_alert_told, alert)

    def _after_a_while(self, callback: object, *args: object) -> None:
        assert callable(callback)
        self._virtual_clock.after(self._chance.uniform(0, LONGEST_WAY), callback, *args)
