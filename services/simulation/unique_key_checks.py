"""Checks of submissions with unique keys."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from fleet_q.core import events as ev
from fleet_q.core.events import StepEvent
from fleet_q.core.ports import SubmitResult
from fleet_q.core.retry import micros
from fleet_q.services.simulation.payloads import work_of
from fleet_q.services.simulation.records import Records, StepRecord, require
from fleet_q.services.simulation.scenario import Work

ACTIVE = ("pending", "claimed")


class UniqueKeyChecks:
    """Checks that no step is submitted while another has its unique key, and that only a pending
    one is replaced. ``work``: the steps that are submitted, by id."""

    def __init__(self, records: Records, work: Mapping[str, Work]) -> None:
        self._records = records
        self._work = work
        self._of_key: dict[str, set[str]] = defaultdict(set)  # ids of steps, by unique key

    def submitted(self, step_id: str, record: StepRecord) -> None:
        """A step was stored. Raises :class:`Violation`."""
        if record.unique_key is None:
            return
        owner = self.owner(record.unique_key, record.created)
        require(
            owner is None,
            "unique keys",
            step_id,
            "was stored with unique key {!r}, which {} has",
            record.unique_key,
            owner,
        )
        self._of_key[record.unique_key].add(step_id)

    def replaced(
        self, step_id: str, record: StepRecord, event: StepEvent, fact: ev.Replaced
    ) -> None:
        """A step does what another submission says from now on. Raises :class:`Violation`."""
        by = work_of(fact.payload, self._work, step_id)
        may_replace = by.on_conflict == "replace" and by.unique_key == record.unique_key
        require(may_replace, "unique keys", step_id, "was replaced by {}", by.step_id)
        require(
            record.status == "pending",
            "unique keys",
            step_id,
            "was replaced when it was {}",
            record.status,
        )
        record.priority, record.task_type = by.priority, by.task_type
        record.available = event.at + micros(by.delay) if by.delay else 0

    def owner(self, unique_key: str, at: int) -> str | None:
        """The step that has the key at store time ``at``. If several have it, since one was
        replayed, or the clock was set back, it is the one that was submitted first."""
        steps = self._records.steps
        owners = [step_id for step_id in self._of_key[unique_key] if _has_key(steps[step_id], at)]
        return min(owners, key=lambda step_id: (steps[step_id].created, step_id), default=None)

    def owner_when_read(self, unique_key: str, at: int) -> str | None:
        """The same, as a reader may have seen it at that time: a step that has changed since may
        have had the key then."""
        later = (i for i in self._of_key[unique_key] if self._records.steps[i].at > at)
        return self.owner(unique_key, at) or min(later, default=None)

    def answered(self, work: Work, result: SubmitResult) -> None:
        """Check what a client learns of its submission. Raises :class:`Violation`."""
        if result.step_id == work.step_id:
            return
        owner = self._records.steps.get(result.step_id)
        stands_for_it = (
            not result.is_new
            and work.on_conflict != "error"
            and work.unique_key is not None
            and owner is not None
            and owner.unique_key == work.unique_key
        )
        require(stands_for_it, "unique keys", work.step_id, "was answered by {}", result.step_id)


def _has_key(record: StepRecord, at: int) -> bool:
    is_kept = record.unique_until is not None and record.unique_until > at
    return not record.pruned and (record.status in ACTIVE or is_kept)
