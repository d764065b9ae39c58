"""Attempts: what ran where and when, from the claim of a step until that ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from fleet_q.core.briefs import Brief

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


def attempts_of(briefs: Iterable[Brief]) -> Iterator[Attempt]:
    """All attempts of some steps, of which ``briefs`` are the events, those of a step together and
    in order."""
    claim: Brief | None = None
    for brief in briefs:
        if claim is not None and (brief.type not in WITHIN_CLAIM or brief.step_id != claim.step_id):
            yield _attempt(claim, brief if brief.step_id == claim.step_id else None)
            claim = None
        if brief.type == "claimed":
            claim = brief
    if claim is not None:
        yield _attempt(claim, None)


def _attempt(claim: Brief, end: Brief | None) -> Attempt:
    ended = (None, None, None) if end is None else (end.at, end.type, end.error)
    return Attempt(
        claim.step_id,
        claim.queue,
        claim.task_type,
        claim.pod_id or "",
        claim.incarnation or "",
        claim.at,
        *ended,
    )
