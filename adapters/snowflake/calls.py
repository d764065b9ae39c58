"""Queries and transactions that are retried while Snowflake is unavailable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.session import Rows, Session, Transaction, new_change_id
from fleet_q.core.errors import FleetQError, StoreUnavailable
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

    def changed_steps(self, change_id: str) -> dict[str, Step]:
        """The steps that were last changed by this change, by id."""
        return by_id(self.query("changed_steps", change_id=change_id))

    def write(self, work: Callable[[Transaction], None]) -> str:
        """Run ``work`` in a transaction until it is committed; return the change id, under which
        the rows that it changed can be found."""
        change_id = new_change_id()
        attempts = 0

        def attempt() -> str:
            nonlocal attempts
            attempts += 1
            if attempts == 1 or not self.session.is_committed(change_id):
                with self.session.transaction(change_id) as tx:
                    work(tx)
            return change_id

        return self.patiently(attempt)

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


class Unchangeable(FleetQError):
    """Rolls back a transaction because the steps or pods with these ids could not be changed."""

    def __init__(self, ids: Collection[str] = ()) -> None:
        super().__init__()
        self.ids = set(ids)


def by_id(step_rows: Sequence[Sequence[Any]]) -> dict[str, Step]:
    """The steps of these rows, by id."""
    return {step.step_id: step for step in map(rows.to_step, step_rows)}
