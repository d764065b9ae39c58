"""A database that tells what each transaction has committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fleet_q.adapters.memory import MemoryDatabase, MemoryTransaction
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Manners
from fleet_q.core.step import Step

StepChange = tuple[StepEvent, Step]
PodChange = tuple[PodEvent, Pod]


class Ledger(MemoryDatabase):
    """The memory store's database, with what was committed since it was last asked.

    Without ``keep_pod_log`` the pods' events are forgotten once they have been told: the
    heartbeats of a thousand pods in a day do not fit into memory.
    """

    def __init__(
        self, clock: Callable[[], int], manners: Manners, *, keep_pod_log: bool = True
    ) -> None:
        super().__init__(clock)
        self.manners = manners
        self.keep_pod_log = keep_pod_log
        self.written_at: dict[tuple[str, int], float] = {}  # true time of events that are kept
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
            if not self.keep_pod_log:
                for event, _ in taken[1]:
                    self.pod_log[event.stream].clear()
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
