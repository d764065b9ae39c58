"""Scenarios that are drawn."""

from __future__ import annotations

from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.generate import draw


def test_measured_pods_have_two_faults_a_day_even_in_an_hour() -> None:
    kinds = (sc.Crash, sc.Freeze, sc.DuplicatePod, sc.ClockJump)  # not those of a rolling restart
    faults = [
        fault
        for seed in range(20)
        for fault in draw(seed, pods=100, hours=1.0).faults
        if isinstance(fault, kinds)
    ]
    pod_days = 20 * 100 / 24
    assert 1.2 < len(faults) / pod_days < 2.4  # a ninth of two faults a day are stops
