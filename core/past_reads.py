"""Default implementations of the reads of the past: they fold the whole log."""

from __future__ import annotations

from collections.abc import Iterator

from fleet_q.core import activity, attempts, past
from fleet_q.core.activity import ActivityPage
from fleet_q.core.attempts import AttemptList
from fleet_q.core.briefs import Brief, briefs_of
from fleet_q.core.ports import Transaction
from fleet_q.core.search import StepFilter, StepList


class PastReads(Transaction):
    """Implements what a transaction reads of the past. An override must have the same result."""

    def steps_at(
        self, moment: int, step_filter: StepFilter, limit: int, cursor: str | None
    ) -> StepList:
        found = past.steps_at(self.step_events(), moment)
        return past.list_of(found, self.at, step_filter, limit, cursor)

    def activity(self, since: int, until: int, cursor: str | None) -> ActivityPage:
        return ActivityPage(tuple(activity.count(self._briefs(), since, until)))

    def attempts(self, since: int, until: int, limit: int) -> AttemptList:
        return attempts.list_of(self._briefs(), since, until, limit)

    def _briefs(self) -> Iterator[Brief]:
        steps = {step.step_id: step for step in self.all_steps()}
        return briefs_of(self.step_events(), steps)
