"""What users write against: the app, its settings, and the tools that a step's function may use."""

from fleet_q.services.app import FleetQ
from fleet_q.services.backoff import with_backoff
from fleet_q.services.context import PermanentFailure, StepContext, current_step
from fleet_q.services.settings import Settings

__all__ = [
    "FleetQ",
    "PermanentFailure",
    "Settings",
    "StepContext",
    "current_step",
    "with_backoff",
]
