"""Draws steps that are put off, and steps that must begin by some time."""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec.structs import replace

from fleet_q.services.simulation import scenario as sc

SHARE: Final = 0.5
"""The share of scenarios that have any."""


def with_later_steps(scenario: sc.Scenario) -> sc.Scenario:
    """Let functions put some steps off, perhaps too often, and give others a time to begin by."""
    chance = Random(f"scenario {scenario.seed}, later")
    if chance.random() > SHARE:
        return scenario
    settings = replace(scenario.settings, max_snoozes=chance.choice([0, 2, 1_000]))
    scenario = replace(scenario, settings=settings)
    return sc.with_changed_steps(scenario, lambda work: _later(work, chance))


def _later(work: sc.Work, chance: Random) -> sc.Work:
    roll = chance.random()
    if roll < 0.2:
        snooze_for = chance.choice([0.0, 1.0, chance.uniform(1, 60)])
        return replace(work, snoozes=chance.randint(1, 5), snooze_for=snooze_for)
    if roll < 0.5:
        longest = chance.choice([5.0, 60.0, 600.0])
        return replace(work, start_by=work.delay + chance.uniform(0.5, longest))
    return work
