"""Attempts: what ran where and when, from the claim of a step until that ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from fleet_q.core.briefs import Brief
from fleet_q.core.rate import MICROS

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
    """The latest of the attempts of a span of time, by their claims, the latest first. ``is_cut``:
    there may be more."""

    attempts: tuple[Attempt, ...]
    is_cut: bool


EVENTS_READ: Final = 4
"""Events that are read for each attempt that is asked for, where not all are."""

LOOK_AHEAD: Final = 86_400 * MICROS
"""How long after a span of time it is looked for the ends of attempts that lasted for all of it, in
microseconds, where not all events are read."""


def list_of(
    briefs: Iterable[Brief], since: int, until: int, limit: int, *, is_cut: bool = False
) -> AttemptList:
    """The list with the latest ``limit`` of the attempts that overlap a span of time. ``is_cut``:
    there may be more than ``briefs`` tell."""
    attempts = (each for each in attempts_of(briefs) if each.overlaps(since, until))
    in_order = sorted(attempts, key=lambda each: (-each.claimed_ts, each.step_id))
    return AttemptList(tuple(in_order[:limit]), is_cut or len(in_order) > limit)


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
