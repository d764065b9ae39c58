"""Where a round's fleet lives: a store that can be struck."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from fleet_q.core.ports import Store
from tests.crash.checks import Log
from tests.crash.client import Client
from tests.crash.fleet import Fleet
from tests.crash.plan import Act


class Place(Protocol):
    """A store, and what can happen to it."""

    url: str
    env: Mapping[str, str]
    """What pods need in their environment to get there."""

    cuts: list[Path]
    """The files that power cuts left."""

    def open(self) -> Store:
        """The store, for the round itself."""

    def do(self, act: Act, fleet: Fleet, client: Client) -> list[str]:
        """Let this happen to the store; what is wrong with how it went."""

    def compare(self, log: Log) -> list[str]:
        """What is wrong with pictures of the store that were taken during the round, by the log as
        it was at its end."""

    def calm(self) -> None:
        """Let nothing happen to it any more."""

    def close(self) -> None:
        """End what belongs to it."""
