"""Attempts: what ran where and when, from the claim of a step until that ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

import msgspec

from fleet_q.core.events import Claimed, StepEvent
from fleet_q.core.log import MAX_ERROR_LENGTH
from fleet_q.core.step import Step

WITHIN_CLAIM: Final = ("checkpointed",)
"""The events of a claimed step that do not end its claim."""


class Attempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A step in the hands of a pod, from ``claimed_ts`` to ``ended_ts``; ``None``: it still is.
    ``how`` is the event that ended it, ``error`` what that says. ``queue`` and ``task_type`` are
    those of the step as they are now."""

    step_id: str
    queue: str
    task_type: str
    pod_id: str
    incarnation: str
    claimed_ts: int
    ended_ts: int | None = None
    how: str | None = None
    error: str | None = None

    def overlaps(self, since: int, until: int) -> bool:
        """Whether it ran at some time from ``since`` until before ``until``."""
        return self.claimed_ts < until and (self.ended_ts is None or self.ended_ts >= since)


class AttemptList(msgspec.Struct, frozen=True):
    """The latest of the attempts of a span of time, by their claims, the latest first, read at
    store time ``at``. ``is_cut``: there may be more."""

    at: int
    attempts: tuple[Attempt, ...]
    is_cut: bool


def list_of(attempts: Iterable[Attempt], at: int, limit: int) -> AttemptList:
    """The list with the latest ``limit`` of these attempts."""
    in_order = sorted(attempts, key=lambda each: (-each.claimed_ts, each.step_id))
    return AttemptList(at, tuple(in_order[:limit]), len(in_order) > limit)


def attempts_of(events: Iterable[StepEvent], steps: dict[str, Step]) -> Iterator[Attempt]:
    """All attempts of a log that is ordered by id and version; ``steps`` are those as they are
    now."""
    for step_id, history in groupby(events, key=lambda event: event.stream):
        step = steps[step_id]
        claim: StepEvent | None = None
        for event in history:
            if claim is not None and event.fact.type not in WITHIN_CLAIM:
                yield _attempt(step, claim, event)
                claim = None
            if isinstance(event.fact, Claimed):
                claim = event
        if claim is not None:
            yield _attempt(step, claim, None)


def _attempt(step: Step, claim: StepEvent, end: StepEvent | None) -> Attempt:
    assert isinstance(claim.fact, Claimed)
    attempt = Attempt(
        step.step_id,
        step.queue,
        step.task_type,
        claim.pod_id or "",
        claim.fact.incarnation,
        claim.at,
    )
    if end is None:
        return attempt
    error = getattr(end.fact, "error", None)
    return msgspec.structs.replace(
        attempt,
        ended_ts=end.at,
        how=end.fact.type,
        error=None if error is None else error[:MAX_ERROR_LENGTH],
    )
