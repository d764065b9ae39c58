"""Queries and calls of procedures that are retried while Snowflake is unavailable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.session import Rows, Session, new_change_id
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.step import Step

T = TypeVar("T")


class Calls:
    """Calls that are retried for ``patience`` seconds before they raise
    :class:`~fleet_q.core.errors.StoreUnavailable`."""

    def __init__(self, session: Session, patience: float) -> None:
        self.session = session
        self._patience = patience

    def query(self, name: str, **values: Any) -> Rows:
        """The rows of one statement."""
        return self.patiently(lambda: self.session.query(name, **values))

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        """The existing steps with these ids, by id."""
        return by_id(self.query("steps", step_ids=rows.encode(step_ids)))

    def write(
        self,
        procedure: str,
        result: str | None = None,
        **values: Any,
    ) -> Rows | None:
        """Call a procedure until it is committed once, and return its rows.

        Every attempt has a change id of its own. If the answer to one is lost, and a change with
        its id is found, the rows are read by the statement ``result``; without one, ``None``.
        """
        unanswered: list[str] = []

        def attempt() -> Rows | None:
            if (change_id := self._committed(unanswered)) is not None:
                return self.session.query(result, change_id=change_id) if result else None
            unanswered.append(new_change_id())
            return self.session.call(procedure, change_id=unanswered[-1], **values)

        return self.patiently(attempt)

    def _committed(self, change_ids: Sequence[str]) -> str | None:
        """The first of these changes that was committed; ``None`` if none was."""
        if not change_ids:
            return None
        encoded = rows.encode(change_ids)
        committed = {row[0] for row in self.session.query("committed_changes", change_ids=encoded)}
        return next((change_id for change_id in change_ids if change_id in committed), None)

    def patiently(self, call: Callable[[], T]) -> T:
        """Retry ``call`` while Snowflake is unavailable, and return its result. ``call`` must be
        idempotent."""
        policy = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            reraise=True,
        )
        return policy(call)


def by_id(step_rows: Sequence[Sequence[Any]]) -> dict[str, Step]:
    """The steps of these rows, by id."""
    return {step.step_id: step for step in map(rows.to_step, step_rows)}
