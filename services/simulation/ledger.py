"""A database that tells what each transaction has committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from fleet_q.adapters.memory import MemoryDatabase
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.leadership import silent_pods
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Manners, Transaction
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
        self._steps: list[StepChange] = []
        self._pods: list[PodChange] = []

    @contextmanager
    def write(self) -> Iterator[Any]:
        with super().write() as tx:
            watched = _Watched(tx)
            yield cast("Transaction", watched)
        self._steps += watched.step_changes
        self._pods += watched.pod_changes

    read = MemoryDatabase.read

    def is_claimable(self) -> bool:
        """Whether there is a step to claim."""
        return bool(self.queue.due(self._clock(), 1))

    def is_anyone_silent(self, dead_after: int) -> bool:
        """Whether there is a pod to declare dead."""
        return bool(silent_pods(self.pods.values(), self._clock(), dead_after))

    def take(self) -> tuple[list[StepChange], list[PodChange]]:
        """What was committed since the last call."""
        taken = self._steps, self._pods
        self._steps, self._pods = [], []
        if not self.keep_pod_log:
            for event, _ in taken[1]:
                self.pod_log[event.stream].clear()
        return taken


class _Watched:
    """A transaction, with what was written in it."""

    def __init__(self, tx: Transaction) -> None:
        self.at = tx.at
        self.step_changes: list[StepChange] = []
        self.pod_changes: list[PodChange] = []
        self._tx = tx

    def write_steps(self, changes: Sequence[StepChange]) -> None:
        self._tx.write_steps(changes)
        self.step_changes += changes

    def write_pods(self, changes: Sequence[PodChange]) -> None:
        self._tx.write_pods(changes)
        self.pod_changes += changes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)
