"""Submits steps, all in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.batches import MAX_TEXT_BYTES
from fleet_q.adapters.snowflake.calls import Calls, by_id
from fleet_q.core import step as steps
from fleet_q.core.errors import InvalidInput, StoreError, StoreUnavailable
from fleet_q.core.sizes import size_of
from fleet_q.core.step import Step, Submit


def submit(calls: Calls, new: Sequence[Submit], pod_id: str | None) -> list[bool]:
    """See :meth:`fleet_q.core.ports.Store.submit`. Raises :class:`InvalidInput` if the steps are
    too large for one submission."""
    first: dict[str, Submit] = {}
    for item in new:
        steps.decide(_as_stored(first.setdefault(item.step_id, item)), item, at=0)
    fresh = dict(first)
    stored: set[str] = set()
    while fresh:
        existing, is_retry = calls.patiently(lambda: _store(calls, list(fresh.values()), pod_id))
        if existing is None:
            break
        for step_id, step in existing.items():
            item = fresh.pop(step_id)
            if item.unique:
                if not is_retry:
                    raise StoreError(f"step {step_id!r} exists, though its id should be unique")
                stored.add(step_id)  # by an attempt whose answer was lost
            steps.decide(step, item, at=0)  # raises if the submissions differ
    stored |= fresh.keys()
    return [first[item.step_id] is item and item.step_id in stored for item in new]


def _store(
    calls: Calls, new: Sequence[Submit], pod_id: str | None
) -> tuple[dict[str, Step] | None, bool]:
    """Store all of the steps; or, if ids were taken, none, and return the steps that have these
    ids, and whether an earlier attempt may have stored them."""
    submissions = rows.submissions_json(new)
    if (size := size_of(submissions)) > MAX_TEXT_BYTES:
        raise InvalidInput(
            f"a submission has {size} bytes, and Snowflake takes {MAX_TEXT_BYTES};"
            " submit fewer or smaller steps at a time"
        )
    is_retry = False

    def on_retry() -> dict[str, bool]:
        nonlocal is_retry
        is_retry = True
        return {"ids_are_unique": False}

    answer = calls.write(
        "submit",
        submissions=submissions,
        submission_count=len(new),
        ids_are_unique=all(item.unique for item in new),
        pod_id=pod_id,
        on_retry=on_retry,
    )
    is_stored = answer is None or (len(answer) == 1 and len(answer[0]) == 1)
    if is_stored:
        return None, is_retry
    existing = by_id(answer or ())
    if not existing:  # the steps were pruned in between
        raise StoreUnavailable(
            "Snowflake: the ids of these steps were taken a moment ago; try again"
        )
    return existing, is_retry


def _as_stored(submit: Submit) -> Step:
    event = steps.decide(None, submit, at=0)
    assert event is not None
    return steps.evolve(None, event)
