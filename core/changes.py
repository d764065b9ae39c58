"""The changes of steps in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleet_q.core import step as steps
from fleet_q.core.events import StepEvent
from fleet_q.core.ports import Transaction
from fleet_q.core.step import Step, StepCommand


class Changes:
    """Collects the changes of steps in one transaction and writes them together."""

    def __init__(self, tx: Transaction, by: str | None, step_ids: Sequence[str]) -> None:
        self.steps = tx.steps(step_ids) if step_ids else {}
        self._tx = tx
        self._by = by
        self._changes: list[tuple[StepEvent, Step]] = []

    def add(self, already_read: Iterable[Step]) -> None:
        """Add steps that the transaction has already read."""
        self.steps.update((step.step_id, step) for step in already_read)

    def apply(self, command: StepCommand) -> bool:
        """Apply the command; returns whether it caused an event. Raises what ``decide`` raises."""
        step = self.steps.get(command.step_id)
        event = steps.decide(step, command, self._tx.at, self._by)
        if event is None:
            return False
        evolved = steps.evolve(step, event)
        self.steps[command.step_id] = evolved
        self._changes.append((event, evolved))
        return True

    def write(self) -> None:
        """Write all events and the new state of their steps."""
        if self._changes:
            self._tx.write_steps(self._changes)
