"""Submits steps, all in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.batches import batches
from fleet_q.adapters.snowflake.calls import Calls, by_id
from fleet_q.adapters.snowflake.session import Transaction
from fleet_q.core import step as steps
from fleet_q.core.errors import StoreError
from fleet_q.core.step import Step, Submit


def submit(calls: Calls, new: Sequence[Submit], pod_id: str | None) -> list[bool]:
    """See :meth:`fleet_q.core.ports.Store.submit`."""
    first: dict[str, Submit] = {}
    for item in new:
        steps.decide(_as_stored(first.setdefault(item.step_id, item)), item, at=0)
    change_id = calls.write(lambda tx: _submit(tx, list(first.values()), pod_id))
    fresh = set(first)
    if not all(item.unique for item in new):
        fresh = set(calls.changed_steps(change_id))
    return [first[item.step_id] is item and item.step_id in fresh for item in new]


def _submit(tx: Transaction, new: Sequence[Submit], pod_id: str | None) -> None:
    if not all(item.unique for item in new):
        tx.run("lock_submissions")
    stored = 0
    for batch in batches(new, lambda item: len(item.payload)):
        stored += int(tx.run("submit", new=rows.submissions_json(batch))[0][0])
    tx.run("append_step_events", pod_id=pod_id)
    if stored == len(new):
        return
    fresh = by_id(tx.run("changed_steps"))
    repeated = [item for item in new if item.step_id not in fresh]
    existing = by_id(tx.run("steps", step_ids=rows.encode([item.step_id for item in repeated])))
    for item in repeated:
        if item.unique:
            raise StoreError(f"step {item.step_id!r} exists, though its id should be unique")
        steps.decide(existing[item.step_id], item, at=0)  # raises if the submissions differ


def _as_stored(submit: Submit) -> Step:
    event = steps.decide(None, submit, at=0)
    assert event is not None
    return steps.evolve(None, event)
