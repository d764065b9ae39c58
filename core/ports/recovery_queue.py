"""The port to the leader's ephemeral table of orphans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fleet_q.core.ports.messages import Orphan


class RecoveryQueue(Protocol):
    """The leader's own ephemeral table of orphans; it lives for one recovery cycle."""

    def create(self) -> None:
        """Begin with an empty table."""

    def add(self, orphans: Sequence[Orphan]) -> None:
        """Note orphans down."""

    def take(self, limit: int) -> list[Orphan]:
        """Remove and return up to ``limit`` of them; empty when none are left."""

    def drop(self) -> None:
        """Remove the table."""
