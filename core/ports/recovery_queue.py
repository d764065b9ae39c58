"""The port to the recovery queue: the leader's temporary table of orphans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fleet_q.core.ports.messages import Orphan


class RecoveryQueue(Protocol):
    """The leader's temporary, local table of orphans; it exists for one recovery cycle."""

    def create(self) -> None:
        """Create an empty table."""

    def add(self, orphans: Sequence[Orphan]) -> None:
        """Add orphans."""

    def take(self, limit: int) -> list[Orphan]:
        """Remove and return up to ``limit`` orphans; an empty list when none are left."""

    def drop(self) -> None:
        """Remove the table."""
