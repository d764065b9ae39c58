"""Tests of applications that use FLEET-Q: run their steps in memory, on a clock that a test moves.

``fixture`` makes a pytest fixture, and ``isolated`` is the same as a context manager, for which
pytest need not be installed.
"""

from fleet_q.services.testing.clock import Duration, Moment
from fleet_q.services.testing.fleet import Fleet, fixture, isolated
from fleet_q.services.testing.functions import PodKilled

__all__ = ["Duration", "Fleet", "Moment", "PodKilled", "fixture", "isolated"]
