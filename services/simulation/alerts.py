"""Draws in which scenarios the leader tells a receiver of alerts."""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec.structs import replace

from fleet_q.services.simulation import scenario as sc

SHARE: Final = 0.4
"""The share of scenarios on SQLite with alerts. On Snowflake pods fall asleep, and look for alerts
only when they wake."""


def with_alerts(scenario: sc.Scenario) -> sc.Scenario:
    """Let some fleets tell of alerts, early enough for a short simulation."""
    chance = Random(f"scenario {scenario.seed}, alerts")
    if scenario.store != "sqlite" or chance.random() > SHARE:
        return scenario
    settings = replace(scenario.settings, alert_after=60.0, alert_oldest=300.0)
    return replace(scenario, settings=settings, has_alerts=True)
