"""What becomes of rows of the inbox that are taken in together, in a store in which a transaction
has to be planned before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet_q.core import step as steps
from fleet_q.core import uniqueness
from fleet_q.core.errors import StepConflict, UniqueKeyTaken
from fleet_q.core.inbox import INVALID_ROW, InboxRow, Intake, Rejection, read_row
from fleet_q.core.ports import CheckedReplacement, CheckedSubmission
from fleet_q.core.step import Step, Submit


class IntakePlan(msgspec.Struct, frozen=True):
    """What becomes of ``rows``: the submission, which includes the dead letters, and by their ids
    why these were rejected. A row of which there is nothing needs no step but one that exists."""

    rows: tuple[InboxRow, ...]
    submission: CheckedSubmission
    errors: dict[str, str]

    @property
    def needs_check(self) -> bool:
        """Whether other steps may have an id or a unique key of the submission."""
        submission = self.submission
        new = (s for s in submission.steps if not s.unique or s.unique_key is not None)
        return bool(submission.replacements) or any(s.step_id not in self.errors for s in new)


class IntakePlanner:
    """Plans what becomes of ``rows`` at store time ``at``, in their order; with ``error``, all
    become dead letters. A row keeps its id in every plan."""

    def __init__(
        self, rows: Sequence[InboxRow], at: int, intake: Intake, error: str | None = None
    ) -> None:
        self._at = at
        self._intake = intake
        self._rows = [
            (row, read_row(row, at, intake) if error is None else Rejection(row, error))
            for row in rows
        ]
        self._ids: list[str] = []  # of dead letters

    def plan(self, existing: Iterable[Step], submission_id: str, by: str | None) -> IntakePlan:
        """The plan, if ``existing`` are the steps with ids or unique keys of the rows. ``by``: see
        :class:`~fleet_q.core.ports.Store`."""
        plan = _Plan(existing, self._at)
        for row, submit in self._rows:
            rejection = submit
            if isinstance(submit, Submit):
                try:
                    plan.add(submit)
                    continue
                except (StepConflict, UniqueKeyTaken) as conflict:
                    rejection = Rejection(row, INVALID_ROW.format(conflict))
            assert isinstance(rejection, Rejection)
            if len(plan.errors) == len(self._ids):
                self._ids.append(self._intake.new_id())
            step_id = self._ids[len(plan.errors)]
            plan.new[step_id] = rejection.dead_letter(step_id, self._intake.max_payload_bytes)
            plan.errors[step_id] = rejection.error
        new, replacements = tuple(plan.new.values()), tuple(plan.replacements.values())
        return IntakePlan(
            tuple(row for row, _ in self._rows),
            CheckedSubmission(submission_id, new, by, replacements),
            plan.errors,
        )


class _Plan:
    def __init__(self, existing: Iterable[Step], at: int) -> None:
        known = list(existing)
        self.new: dict[str, Submit] = {}
        self.replacements: dict[str, CheckedReplacement] = {}
        self.errors: dict[str, str] = {}
        self._existing = {step.step_id: step for step in known}
        self._owners = uniqueness.owners(known, at)
        self._new_owners: dict[str, str] = {}  # ids of new steps, by unique key

    def add(self, submit: Submit) -> None:
        """Raises :class:`StepConflict` and :class:`UniqueKeyTaken`."""
        step_id, unique_key = submit.step_id, submit.unique_key
        step = self._existing.get(step_id)
        if step is None and step_id in self.new:
            step = steps.as_stored(self.new[step_id], at=0)
        if step is not None:
            steps.decide(step, submit, at=0)  # raises if the submissions differ
            return
        if unique_key is not None:
            if (owner := self._owners.get(unique_key)) is not None:
                if uniqueness.replacement(owner, submit) is not None:
                    replacement = CheckedReplacement(owner.step_id, owner.version, submit)
                    self.replacements[owner.step_id] = replacement
                return
            first = self._new_owners.setdefault(unique_key, step_id)
            if first != step_id:
                earlier = steps.as_stored(self.new[first], at=0)
                if uniqueness.replacement(earlier, submit) is not None:
                    self.new[first] = uniqueness.replaced(self.new[first], submit)
                return
        self.new[step_id] = submit
