"""The systems that are measured."""

from __future__ import annotations

from typing import Final

from tests.benchmarks.systems.bare import Bare, BareWithEvents
from tests.benchmarks.systems.fleet_q import FleetQueue
from tests.benchmarks.systems.huey import Huey
from tests.benchmarks.systems.litequeue import LiteQueue
from tests.benchmarks.systems.persist_queue import PersistQueue
from tests.benchmarks.systems.raquel import Raquel
from tests.benchmarks.systems.system import System

OURS: Final = FleetQueue.name
PEERS: Final[tuple[type[System], ...]] = (Huey, LiteQueue, PersistQueue, Raquel)
LIMITS: Final[tuple[type[System], ...]] = (BareWithEvents, Bare)
SYSTEMS: Final[tuple[type[System], ...]] = (FleetQueue, *PEERS, *LIMITS)


def installed() -> tuple[type[System], ...]:
    """Those that can be measured here."""
    return tuple(system for system in SYSTEMS if system.installed())


def named(name: str) -> type[System]:
    """The system of this name."""
    return next(system for system in SYSTEMS if system.name == name)
