"""Search, the methods of an app that find steps and change those that were found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec

from fleet_q.core.errors import InvalidInput
from fleet_q.core.lifecycle import STEP, STEP_STATUSES, StepStatus
from fleet_q.core.retry import MICROS
from fleet_q.core.search import StepFilter, StepSummary
from fleet_q.core.step import Cancel, Change, Replay, Reprioritize
from fleet_q.core.stored_json import labels_of
from fleet_q.core.submission import check_id, check_labels, check_priority
from fleet_q.services.app.base import AppBase
from fleet_q.services.app.views import progress_of, timestamp

LONGEST_LIST: Final = 1_000
"""The most steps in a list."""

MOST_SEARCHED: Final = 1_000_000
"""About how many steps are looked at for one list, if the filter selects few."""

BATCH: Final = 500
"""Steps that are changed in one transaction."""

OnBatch = Callable[[int], object]
"""Called after each transaction with the number of steps that it changed."""

Texts = str | Iterable[str]
Moment = datetime | timedelta
"""A time, or how long ago it was."""


@dataclass(frozen=True)
class StepRow:
    """A step in a list. Times are in UTC; ``claimed_ts`` is that of its claim, or of the last
    checkpoint since, ``running_for`` are the seconds since then; ``progress`` is that of
    :class:`StepView`, and ``error`` the first line of that of the last attempt that failed."""

    step_id: str
    status: StepStatus
    queue: str
    task_type: str | None
    key: str | None
    priority: int
    attempt: int
    max_retries: int
    snoozes: int
    created_ts: str
    last_update_ts: str
    start_by_ts: str | None
    claimed_ts: str | None
    running_for: float | None
    pod_id: str | None
    workflow_id: str | None
    labels: dict[str, str]
    unique_key: str | None
    progress: dict[str, Any] | None
    error: str | None

    @classmethod
    def of(cls, step: StepSummary, at: int) -> StepRow:
        """Make the row of ``step``, as read at store time ``at``."""
        claimed_ts = step.claimed_ts
        return cls(
            step_id=step.step_id,
            status=step.status,
            queue=step.queue,
            task_type=step.task_type or None,
            key=step.key,
            priority=step.priority,
            attempt=step.retry_count + 1,
            max_retries=step.max_retries,
            snoozes=step.snoozes,
            created_ts=timestamp(step.created_ts),
            last_update_ts=timestamp(step.last_update_ts),
            start_by_ts=None if step.start_by_ts is None else timestamp(step.start_by_ts),
            claimed_ts=None if claimed_ts is None else timestamp(claimed_ts),
            running_for=None if claimed_ts is None else max(0, at - claimed_ts) / MICROS,
            pod_id=step.claimed_by,
            workflow_id=step.workflow_id,
            labels=labels_of(step.labels),
            unique_key=step.unique_key,
            progress=progress_of(step),
            error=next(iter((step.error or "").splitlines()), None),
        )


@dataclass(frozen=True)
class StepsView:
    """Steps, the latest submission first. ``cursor`` continues the list; ``None``: it is complete.
    With a cursor it may have fewer steps than asked for, because few of very many were selected."""

    steps: list[StepRow]
    cursor: str | None


class Search(AppBase):
    """The methods of an app that find steps, and change those that were found.

    All of them take the conditions of :func:`step_filter`.
    """

    def steps(self, *, limit: int = 100, cursor: str | None = None, **conditions: Any) -> StepsView:
        """Return up to ``limit`` steps, the latest submission first.

        While steps are added, the pages of a list neither skip nor repeat others. Raises
        :class:`InvalidInput` for an invalid condition, limit or cursor.
        """
        if type(limit) is not int or not 1 <= limit <= LONGEST_LIST:
            raise InvalidInput(f"limit must be between 1 and {LONGEST_LIST}, not {limit!r}")
        selected = step_filter(**conditions)
        rows: list[StepRow] = []
        searched = 0
        while True:
            try:
                page = self.store.list_steps(selected, limit - len(rows), cursor)
            except (ValueError, OverflowError):
                raise InvalidInput(
                    f"cursor={cursor!r} is not a cursor; pass the 'cursor' of the previous page"
                ) from None
            rows += [StepRow.of(step, page.at) for step in page.steps]
            cursor = page.cursor
            searched += page.searched
            if cursor is None or len(rows) == limit or searched >= MOST_SEARCHED:
                return StepsView(rows, cursor)

    def cancel_steps(
        self, *, dry_run: bool = False, on_batch: OnBatch = lambda count: None, **conditions: Any
    ) -> int:
        """Cancel the selected steps that have not ended; return how many were.

        This takes several transactions; ``on_batch`` is called after each with the number of steps
        that it changed, and may raise to end it. A ``dry_run`` only counts the steps.
        """
        selected = _narrowed(step_filter(**conditions), "cancelled", STEP_STATUSES)
        return self._change(Cancel, selected, dry_run, on_batch)

    def replay_steps(
        self, *, dry_run: bool = False, on_batch: OnBatch = lambda count: None, **conditions: Any
    ) -> int:
        """Replay the selected steps that failed or, if ``status`` names it, were cancelled; return
        how many were. See :meth:`cancel_steps`."""
        selected = _narrowed(step_filter(**conditions), "replayed", ("failed",))
        return self._change(Replay, selected, dry_run, on_batch)

    def reprioritize_steps(
        self,
        priority: int,
        *,
        dry_run: bool = False,
        on_batch: OnBatch = lambda count: None,
        **conditions: Any,
    ) -> int:
        """Set the priority of the selected steps that are pending; return how many changed. See
        :meth:`cancel_steps`."""
        check_priority(priority)
        selected = _narrowed(step_filter(**conditions), "reprioritized", STEP_STATUSES)
        change_of = partial(Reprioritize, priority=priority)
        return self._change(change_of, selected, dry_run, on_batch)

    def change_allowed(self, commands: Sequence[Change]) -> list[str]:
        """Carry out those of the commands, which are all alike but for the step, that the lifecycle
        allows, in one transaction. Returns the ids of the steps that changed."""
        changed = self.store.change_allowed(commands, self._acting())
        self._work_arrived()
        return changed

    def _change(
        self,
        change_of: Callable[[str], Change],
        selected: StepFilter,
        dry_run: bool,
        on_batch: OnBatch,
    ) -> int:
        total = 0
        for step_ids in self._batches(selected):
            if dry_run:
                changed = len(step_ids)
            else:
                changed = len(self.change_allowed([change_of(each) for each in step_ids]))
            total += changed
            on_batch(changed)
        return total

    def _batches(self, selected: StepFilter) -> Iterator[list[str]]:
        """The ids of the selected steps that were submitted before now, in batches."""
        cursor: str | None = None
        while True:
            page = self.store.list_steps(selected, BATCH, cursor)
            if page.steps:
                yield [step.step_id for step in page.steps]
            cursor = page.cursor
            if cursor is None:
                return


def _narrowed(selected: StepFilter, event: str, by_default: Iterable[StepStatus]) -> StepFilter:
    """The filter, for those statuses only in which the event may happen. Raises
    :class:`InvalidInput` if there is none."""
    statuses = selected.statuses or by_default
    allowed = tuple(status for status in statuses if STEP.allows(status, event))
    if not allowed:
        raise InvalidInput(f"steps that are {' or '.join(statuses)} cannot be {event}")
    return msgspec.structs.replace(selected, statuses=allowed)


def step_filter(
    *,
    status: Texts = (),
    task_type: Texts = (),
    queue: Texts = (),
    key: Texts = (),
    labels: Mapping[str, str] | None = None,
    pod_id: str | None = None,
    workflow_id: str | None = None,
    in_workflow: bool = False,
    id_prefix: str = "",
    since: Moment | None = None,
    until: Moment | None = None,
) -> StepFilter:
    """The filter with these conditions, of which a step has to meet all.

    ``status``, ``task_type``, ``queue`` and ``key`` are a text or several, of which the step has
    one; it has all ``labels``; ``pod_id`` holds it or held it last; it belongs to ``workflow_id``,
    or with ``in_workflow`` to any workflow; it was submitted at ``since`` or later, and before
    ``until``: a time, or how long ago that was.
    Raises :class:`InvalidInput`.
    """
    statuses = _texts(status, "status")
    for text in statuses:
        if text not in STEP_STATUSES:
            raise InvalidInput(f"status must be one of {', '.join(STEP_STATUSES)}, not {text!r}")
    now = time.time()
    return StepFilter(
        statuses=tuple(known for known in STEP_STATUSES if known in statuses),
        task_types=_texts(task_type, "task_type"),
        queues=_texts(queue, "queue"),
        keys=_texts(key, "key"),
        labels=tuple(sorted(check_labels(labels or {}).items())),
        pod_id=None if pod_id is None else check_id(pod_id, "pod_id"),
        workflow_id=None if workflow_id is None else check_id(workflow_id, "workflow_id"),
        in_workflow=bool(in_workflow),
        id_prefix=check_id(id_prefix, "id_prefix") if id_prefix else "",
        submitted_from=None if since is None else micros_of(since, "since", now),
        submitted_before=None if until is None else micros_of(until, "until", now),
    )


def _texts(value: Texts, what: str) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else tuple(value)
    return tuple(check_id(text, what) for text in texts)


def micros_of(moment: Moment, what: str, now: float) -> int:
    """Return microseconds since 1970, before which nothing happened. Raises
    :class:`InvalidInput`, which names the argument by ``what``."""
    if isinstance(moment, timedelta):
        seconds = now - moment.total_seconds()
    elif isinstance(moment, datetime):
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)  # as FLEET-Q shows times
        seconds = moment.timestamp()
    else:
        raise InvalidInput(f"{what} must be a datetime, or a timedelta for an age, not {moment!r}")
    return max(0, round(seconds * MICROS))
