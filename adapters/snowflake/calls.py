"""Queries and transactions that are tried again for a while, where Snowflake is unavailable."""

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
    """Each call is tried for ``patience`` seconds before it raises
    :class:`~fleet_q.core.errors.StoreUnavailable`."""

    def __init__(self, session: Session, patience: float) -> None:
        self.session = session
        self._patience = patience

    def query(self, name: str, **values: Any) -> Rows:
        """The rows of one statement."""
        return self.patiently(lambda: self.session.query(name, **values))

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        """The steps that exist among these ids."""
        return by_id(self.query("steps", step_ids=rows.encode(step_ids)))

    def changed_steps(self, change_id: str) -> dict[str, Step]:
        """The steps that a change did something to, as they are now."""
        return by_id(self.query("changed_steps", change_id=change_id))

    def write(self, work: Callable[[Transaction], None]) -> str:
        """Do ``work`` in a transaction; its change id once it is committed, by which what it did
        can be looked up."""
        change_id = new_change_id()
        tries = 0

        def once() -> str:
            nonlocal tries
            tries += 1
            if tries == 1 or not self.session.is_committed(change_id):
                with self.session.transaction(change_id) as tx:
                    work(tx)
            return change_id

        return self.patiently(once)

    def patiently(self, call: Callable[[], T]) -> T:
        """What ``call`` returns; it must do no harm if it is done again."""
        policy = Retrying(
            retry=retry_if_exception_type(StoreUnavailable),
            stop=stop_after_delay(self._patience),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            reraise=True,
        )
        return policy(call)


class NotAll(FleetQError):
    """Some of the steps or pods, these, could not be changed, so none of them was."""

    def __init__(self, ids: Collection[str] = ()) -> None:
        super().__init__()
        self.ids = set(ids)


def by_id(found: Sequence[Sequence[Any]]) -> dict[str, Step]:
    """Steps by their ids."""
    return {step.step_id: step for step in map(rows.to_step, found)}
