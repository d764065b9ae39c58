"""What pages read of the past."""

from __future__ import annotations

from typing import Any

from fleet_q.core.errors import InvalidInput
from fleet_q.services.dashboard.visit import Visit


def past_of(visit: Visit) -> Any:
    """What was at the time of ``visit``."""
    raise InvalidInput(f"{visit.name} cannot be shown as it was; go back to now")
