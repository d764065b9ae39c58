"""A database that tells what each transaction has committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleet_q.adapters.memory import MemoryDatabase, MemoryTransaction
from fleet_q.core.events import StepEvent
from fleet_q.core.pod import PodChange
from fleet_q.core.ports import Manners
from fleet_q.core.step import Step

StepChange = tuple[StepEvent, Step]


class Ledger(MemoryDatabase):
    """The memory store's database, with what was committed since it was last asked."""

    def __init__(self, clock: Callable[[], int], manners: Manners) -> None:
        super().__init__(clock)
        self.manners = manners
        self.written_at: dict[tuple[str, int], float] = {}  # true time of events
        self.step_changes: list[StepChange] = []
        self.pod_changes: list[PodChange] = []

    def begin(self) -> MemoryTransaction:
        return _Recording(self, self._clock())

    def is_claimable(self) -> bool:
        """Whether there is a step to claim."""
        return bool(self.queue.due(self._clock(), 1))

    def take(self) -> tuple[list[StepChange], list[PodChange]]:
        """What was committed since the last call."""
        taken = self.step_changes, self.pod_changes
        if taken[0]:
            self.step_changes = []
        if taken[1]:
            self.pod_changes = []
        return taken


class _Recording(MemoryTransaction):
    """Notes down what is written, unless it is rolled back."""

    _db: Ledger

    def write_steps(self, changes: Sequence[StepChange]) -> None:
        super().write_steps(changes)
        self._db.step_changes += changes

    def write_pods(self, changes: Sequence[PodChange]) -> None:
        super().write_pods(changes)
        self._db.pod_changes += changes

    def roll_back(self) -> None:
        super().roll_back()
        self._db.step_changes.clear()
        self._db.pod_changes.clear()
