"""The layer of apps, pods, HTTP and commands; ``fleet_q`` itself is the public face of it."""

from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.context import PermanentFailure, Snooze, StepContext, current_step
from fleet_q.services.app.settings import Settings
from fleet_q.services.backoff import with_backoff

__all__ = [
    "FleetQ",
    "PermanentFailure",
    "Settings",
    "Snooze",
    "StepContext",
    "current_step",
    "with_backoff",
]
