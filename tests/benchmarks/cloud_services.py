"""What statements that need no warehouse may cost on Snowflake: they use cloud services."""

from __future__ import annotations

from typing import Final

from fleet_q.adapters.snowflake.times import MEASURED
from fleet_q.core.settings import PodSettings
from fleet_q.core.worker.idle import longest_sleep_poll

CREDITS_AN_HOUR: Final = 4.4
"""Credits for an hour of cloud services (Snowflake Service Consumption Table)."""

STATEMENT_SECONDS: Final = MEASURED.metadata
"""Seconds of cloud services that a statement without a warehouse is assumed to use: as long as the
server takes for it. Snowflake documents no number; an account has it in
``QUERY_HISTORY.credits_used_cloud_services``."""

HOUR: Final = 3_600.0
DAY: Final = 24 * HOUR


def credits_for(statements: float) -> float:
    """Return the credits for so many statements without a warehouse, before the free part: a tenth
    of the credits that warehouses use on the same day."""
    return statements * STATEMENT_SECONDS / HOUR * CREDITS_AN_HOUR


def sleep_polls(pods: int, seconds: float, settings: PodSettings | None = None) -> float:
    """Return how often so many sleeping pods read the change counter in so many seconds."""
    return pods * seconds / longest_sleep_poll(settings or PodSettings())
