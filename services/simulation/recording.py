"""A memory database that records what each transaction commits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fleet_q.adapters.memory import MemoryDatabase, MemoryTransaction
from fleet_q.core.alerts import Alert
from fleet_q.core.events import StepEvent
from fleet_q.core.inbox import InboxRow
from fleet_q.core.pod import Pod, PodChange
from fleet_q.core.ports import FinalStep, Pruned, StoreTraits
from fleet_q.core.queues import QueueWrite
from fleet_q.core.schedules import Schedule, ScheduleEvent
from fleet_q.core.step import Step

StepChange = tuple[StepEvent, Step]
AlertChange = tuple[str, Alert | None]
ScheduleChange = tuple[ScheduleEvent | None, Schedule]


class TakenIn(NamedTuple):
    """A row of the inbox that was deleted, and the store's time at which it was read."""

    row: InboxRow
    at: int


class RecordingDatabase(MemoryDatabase):
    """The memory store's database, with the changes committed since they were last taken."""

    def __init__(self, clock: Callable[[], int], traits: StoreTraits) -> None:
        super().__init__(clock)
        self.traits = traits
        self.early_by = 0  # µs by which a transaction's time precedes the present
        self.written_at: dict[
            tuple[str, int], float
        ] = {}  # seconds since the start, by stream and version
        self.step_changes: list[StepChange] = []
        self.pod_changes: list[PodChange] = []
        self.pruned: list[str] = []  # ids of steps and pods
        self.queue_changes: list[QueueWrite] = []
        self.schedule_changes: list[ScheduleChange] = []
        self.alert_changes: list[AlertChange] = []
        self.taken_in: list[TakenIn] = []
        self._last_row_id = 0
        self.read_at: int | None = None  # when the rows were read that a transaction takes in

    def next_row_id(self) -> int:
        """An id that no row had before: a plan for rows may be carried out late."""
        self._last_row_id += 1
        return self._last_row_id

    def begin(self) -> MemoryTransaction:
        return _RecordingTransaction(self, self._clock() - self.early_by)

    def take(self) -> tuple[list[StepChange], list[PodChange]]:
        """The changes committed since the last call; clears them."""
        taken = self.step_changes, self.pod_changes
        if taken[0]:
            self.step_changes = []
        if taken[1]:
            self.pod_changes = []
        return taken

    def take_queues(self) -> list[QueueWrite]:
        """The changes of queues committed since the last call; clears them."""
        taken, self.queue_changes = self.queue_changes, []
        return taken

    def take_schedules(self) -> list[ScheduleChange]:
        """The changes of schedules committed since the last call; clears them."""
        taken = self.schedule_changes
        if taken:
            self.schedule_changes = []
        return taken

    def take_alerts(self) -> list[AlertChange]:
        """The changes of alerts committed since the last call; clears them."""
        taken = self.alert_changes
        if taken:
            self.alert_changes = []
        return taken

    def take_taken_in(self) -> list[TakenIn]:
        """The rows of the inbox deleted since the last call; clears them."""
        taken = self.taken_in
        if taken:
            self.taken_in = []
        return taken

    def take_pruned(self) -> list[str]:
        """The ids of steps and pods pruned since the last call; clears them."""
        taken = self.pruned
        if taken:
            self.pruned = []
        return taken


class _RecordingTransaction(MemoryTransaction):
    """Records what it writes; a rollback discards that."""

    _db: RecordingDatabase

    def write_steps(self, changes: Sequence[StepChange]) -> None:
        super().write_steps(changes)
        self._db.step_changes += changes

    def write_pods(self, changes: Sequence[PodChange]) -> None:
        super().write_pods(changes)
        self._db.pod_changes += changes

    def write_queues(self, changes: Sequence[QueueWrite]) -> None:
        super().write_queues(changes)
        self._db.queue_changes += changes

    def has_inbox_rows(self) -> bool:
        """False if rows are not taken in by syncs, but by transactions of their own."""
        return not self._db.traits.combines and super().has_inbox_rows()

    def write_schedule(self, schedule: Schedule, event: ScheduleEvent | None) -> None:
        super().write_schedule(schedule, event)
        self._db.schedule_changes.append((event, schedule))

    def write_alert(self, alert: Alert) -> None:
        super().write_alert(alert)
        self._db.alert_changes.append((alert.alert, alert))

    def delete_alert(self, alert: str) -> None:
        super().delete_alert(alert)
        self._db.alert_changes.append((alert, None))

    def delete_inbox_rows(self, last: InboxRow) -> None:
        rows = [row for row in self._db.inbox if row.row_id <= last.row_id]
        at = self.at if self._db.read_at is None else self._db.read_at
        self._db.taken_in += [TakenIn(row, at) for row in rows]
        super().delete_inbox_rows(last)

    def prune_steps(self, steps: Sequence[FinalStep], before: int) -> Pruned:
        present = [step.step_id for step in steps if step.step_id in self._db.steps]
        pruned = super().prune_steps(steps, before)
        self._db.pruned += [step_id for step_id in present if step_id not in self._db.steps]
        return pruned

    def prune_pod(self, pod: Pod) -> Pruned:
        pruned = super().prune_pod(pod)
        self._db.pruned += [pod.pod_id] * pruned.streams
        return pruned

    def roll_back(self) -> None:
        super().roll_back()
        self._db.pruned.clear()
        self._db.queue_changes.clear()
        self._db.schedule_changes.clear()
        self._db.alert_changes.clear()
        self._db.taken_in.clear()
        self._db.step_changes.clear()
        self._db.pod_changes.clear()
