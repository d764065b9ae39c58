"""The inbox: after a sync that claims has seen that there are rows, the pod makes steps of them by
one call of the procedure ``take_in``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls, by_id
from fleet_q.adapters.snowflake.session import new_change_id
from fleet_q.adapters.snowflake.submit import encoded
from fleet_q.core import inbox
from fleet_q.core.errors import InvalidInput, StoreError, StoreUnavailable
from fleet_q.core.inbox import INVALID_ROW, InboxRow, Intake, step_of_row
from fleet_q.core.intake import IntakePlan, IntakePlanner
from fleet_q.core.step import Step

log = logging.getLogger("fleet_q.snowflake")

TRIES: Final = 5
"""How often rows are planned, at most: again if steps have ids or unique keys of theirs that others
have submitted since. The next sync goes on."""

_TAKEN_BY_OTHERS: Final = 0
_TAKEN: Final = 2
_COLUMNS: Final = InboxRow.__struct_fields__


class Inbox:
    """Reads the inbox, and makes steps of its rows."""

    def __init__(self, calls: Calls, intake: Intake) -> None:
        self._calls = calls
        self._session = calls.session
        self._intake = intake

    def step_of_row(self, step_id: str) -> Step | None:
        """The step that the first row with this id will become; see
        :func:`~fleet_q.core.inbox.step_of_row`."""
        found = self._calls.query("inbox_row", step_id=step_id)
        return step_of_row(_to_row(found[0]), found[0][0], self._intake) if found else None

    def take_in(self, by: str) -> None:
        """Make steps of the first rows, unless other syncs do. Raises :class:`StoreUnavailable`."""
        found = self._session.query(
            "inbox", limit=inbox.INBOX_BATCH, most_bytes=inbox.INBOX_BATCH_BYTES
        )
        batch = [_to_row(row) for row in found]
        while batch:
            try:
                return self._take_in(batch, found[0][0], by)
            except StoreUnavailable:
                raise
            except (StoreError, InvalidInput) as error:  # too large together, or one is refused
                if len(batch) == 1:
                    return self._take_in_refused(batch[0], str(error), found[0][0], by)
                batch = batch[: len(batch) // 2]
        return None

    def _take_in_refused(self, row: InboxRow, error: str, at: int, by: str) -> None:
        """Make a dead letter of a row that Snowflake refuses, without what the row holds."""
        log.error("a row of STEP_INBOX is refused by Snowflake: %s", error)
        self._take_in([InboxRow(row_id=row.row_id)], at, by, INVALID_ROW.format(error))

    def _take_in(
        self, batch: Sequence[InboxRow], at: int, by: str, error: str | None = None
    ) -> None:
        """Make steps of the rows, or with ``error`` dead letters."""
        planner = IntakePlanner(batch, at, self._intake, error)
        existing: dict[str, Step] = {}
        for _ in range(TRIES):
            plan = planner.plan(existing.values(), new_change_id(), by)
            answer = self._session.call("take_in", **_values(plan, by))
            if int(answer[0][0]) in (_TAKEN_BY_OTHERS, _TAKEN):
                return
            existing |= by_id([row[1:] for row in answer if row[1] is not None])
        raise StoreUnavailable("Snowflake: others submit steps with ids of rows of STEP_INBOX")


def _values(plan: IntakePlan, by: str) -> dict[str, Any]:
    """The arguments of the procedure ``take_in``."""
    submission = plan.submission
    return {
        "row_ids": rows.encode([row.row_id for row in plan.rows]),
        "row_count": len(plan.rows),
        "submissions": encoded(submission),
        "is_checked": plan.needs_check,
        "replacing": len(submission.replacements),
        "rejections": rows.encode([{"step_id": i, "error": e} for i, e in plan.errors.items()]),
        "pod_id": by,
        "new_change_id": submission.submission_id,
        "reject_change_id": new_change_id(),
    }


def _to_row(row: Sequence[Any]) -> InboxRow:
    """The row of the inbox, of which the first column is the time."""
    return InboxRow(**dict(zip(_COLUMNS, row[1:], strict=True)))
