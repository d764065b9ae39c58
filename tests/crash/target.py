"""The store that a round's fleet works on, and that the round disturbs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from fleet_q.core.ports import Store
from tests.crash.checks import Log
from tests.crash.client import Client
from tests.crash.fleet import Fleet
from tests.crash.plan import Act


class Target(Protocol):
    """A store that can be disturbed."""

    url: str
    env: Mapping[str, str]
    """Environment variables that pods need to open it."""

    cuts: list[Path]
    """The copies of the file as power cuts left it."""

    def open(self) -> Store:
        """Open the store for the round's own client and checks."""

    def do(self, act: Act, fleet: Fleet, client: Client) -> list[str]:
        """Disturb the store; returns the faults."""

    def compare(self, log: Log) -> list[str]:
        """Compare copies of the log, made during the round, with the log at its end; returns the
        faults."""

    def stop_disturbing(self) -> None:
        """End all disturbances."""

    def close(self) -> None:
        """Stop its processes."""
