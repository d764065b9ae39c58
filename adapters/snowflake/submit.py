"""Submits steps: with unique ids, all in one transaction; with others, through the mailbox."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Sequence
from typing import Any, Final

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.batches import MAX_TEXT_BYTES
from fleet_q.adapters.snowflake.session import Session, new_change_id
from fleet_q.core import calls
from fleet_q.core.errors import InvalidInput, StoreUnavailable
from fleet_q.core.ports import CheckedSubmission, CombiningStore, SubmitResult
from fleet_q.core.sizes import size_of
from fleet_q.core.step import Submit
from fleet_q.core.submitting import Submitting, first_by_id

LONGEST_WAIT: Final = 60.0
"""Seconds for which a submission waits in the mailbox at least. After that time no other process
stores it any more, unless it is posted again."""


def submit(
    store: CombiningStore,
    session: Session,
    patience: float,
    new: Sequence[Submit],
    pod_id: str | None,
) -> list[SubmitResult]:
    """See :meth:`fleet_q.core.ports.Store.submit`. It is retried for ``patience`` seconds. Raises
    :class:`InvalidInput` if the steps are too large for one submission."""
    began = time.monotonic()
    until = began + patience
    is_retry = False
    if all(item.is_independent for item in new):
        first = first_by_id(new)
        try:
            if not new or _store(session, list(first.values()), pod_id):
                return [SubmitResult(i.step_id, is_new=first[i.step_id] is i) for i in new]
        except StoreUnavailable:
            if patience <= 0:
                raise
            is_retry = True
    submitting = Submitting(
        store.traits,
        new_id=new_change_id,
        chance=random.random,
        waiting=_wait,
        may_retry=lambda: time.monotonic() < until,
        may_wait=lambda: time.monotonic() < max(until, began + LONGEST_WAIT),
        clock=time.monotonic,
    )
    return calls.run(store, submitting.submit(new, pod_id, is_retry=is_retry))


def encoded(submission: CheckedSubmission) -> str:
    """The JSON of a submission. Raises :class:`InvalidInput` if it is too large."""
    submissions = rows.submissions_json(submission)
    if (size := size_of(submissions)) > MAX_TEXT_BYTES:
        raise InvalidInput(
            f"a submission has {size} bytes, and Snowflake takes {MAX_TEXT_BYTES};"
            " submit fewer or smaller steps at a time"
        )
    return submissions


def _store(session: Session, new: Sequence[Submit], pod_id: str | None) -> bool:
    """Store all of the steps, or none if steps with their ids exist."""
    change_id = new_change_id()
    answer = session.call(
        "submit",
        submissions=encoded(CheckedSubmission(change_id, tuple(new), pod_id)),
        submission_count=len(new),
        change_id=change_id,
    )
    return int(answer[0][0]) > 0


def _wait(seconds: float) -> Generator[Any, Any, None]:
    time.sleep(seconds)
    yield from ()
