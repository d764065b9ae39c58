"""Submissions, in one transaction however many they are."""

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
    for each in new:
        steps.decide(_as_stored(first.setdefault(each.step_id, each)), each, at=0)
    change_id = calls.write(lambda tx: _submit(tx, list(first.values()), pod_id))
    fresh = set(first)
    if not all(each.unique for each in new):
        fresh = set(calls.changed_steps(change_id))
    return [first[each.step_id] is each and each.step_id in fresh for each in new]


def _submit(tx: Transaction, new: Sequence[Submit], pod_id: str | None) -> None:
    if not all(each.unique for each in new):
        tx.run("lock_submissions")
    stored = 0
    for some in batches(new, lambda each: len(each.payload)):
        stored += int(tx.run("submit", new=rows.submissions_json(some))[0][0])
    tx.run("append_step_events", pod_id=pod_id)
    if stored == len(new):
        return
    fresh = by_id(tx.run("changed_steps"))
    taken = [each for each in new if each.step_id not in fresh]
    known = by_id(tx.run("steps", step_ids=rows.encode([each.step_id for each in taken])))
    for each in taken:
        if each.unique:
            raise StoreError(f"step {each.step_id!r} exists, though its id should be unique")
        steps.decide(known[each.step_id], each, at=0)  # raises if it is another one


def _as_stored(submit: Submit) -> Step:
    event = steps.decide(None, submit, at=0)
    assert event is not None
    return steps.evolve(None, event)
