"""What is measured on the way."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fleet_q.core import events as ev
from fleet_q.core.retry import MICROS
from fleet_q.services.simulation.ledger import StepChange

if TYPE_CHECKING:
    from fleet_q.services.simulation.fleet import Fleet


class Measures:
    """Latencies and counts of one run."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.claim_waits = array("f")  # seconds from claimable to claimed
        self.recovery_waits = array("f")  # seconds from a pod's death to the return of a step
        self.counts: dict[str, int] = {}
        self._claimable: dict[str, int] = {}

    def begin(self) -> None:
        """Look around every now and then."""

    def committed(self, steps: Sequence[StepChange]) -> None:
        """Take in what was written."""
        for event, step in steps:
            kind = event.fact.type
            self.counts[kind] = self.counts.get(kind, 0) + 1
            if isinstance(event.fact, ev.Claimed):
                since = self._claimable.pop(event.stream)
                self.claim_waits.append((event.at - since) / MICROS)
            elif step.status == "pending":
                self._claimable[event.stream] = max(event.at, step.available_ts)
