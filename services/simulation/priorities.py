"""Draws changes of the priorities of steps."""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec.structs import replace

from fleet_q.services.simulation import scenario as sc

SHARE: Final = 0.4
"""The share of scenarios in which clients change priorities."""


def with_new_priorities(scenario: sc.Scenario) -> sc.Scenario:
    """Let clients of some scenarios change the priorities of some steps, soon after these were
    submitted."""
    chance = Random(f"scenario {scenario.seed}, priorities")
    if chance.random() > SHARE:
        return scenario
    changes = [
        sc.Reprioritizing(
            min(request.at + chance.expovariate(1 / 20), scenario.seconds),
            work.step_id,
            chance.choice([0, 3, 9]),
        )
        for request in scenario.requests
        if isinstance(request, sc.Submission)
        for work in request.steps
        if chance.random() < 0.2
    ]
    return replace(scenario, requests=(*scenario.requests, *changes))
