"""What happened to steps, counted: how often in each minute, and how long they waited and ran.

From the counts of the present and these, the counts of any moment of the past follow, without
reading the events of single steps again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from fleet_q.core.briefs import Brief
from fleet_q.core.errors import UnknownToThisVersion
from fleet_q.core.lifecycle import EFFECTS, StepStatus
from fleet_q.core.rate import MICROS

MINUTE: Final = 60 * MICROS

SPANS_PER_DECADE: Final = 20
"""Lengths of time are counted in classes, so many for each power of ten: two lengths of one class
differ by less than an eighth."""

MAX_ERROR_LENGTH: Final = 80
"""The maximum number of characters of the class of an error."""

WITH_ERROR_CLASS: Final = ("failed", "retried", "rejected")
"""The events whose errors are counted by their class."""

DIED: Final = "pod died"
"""The class of the error of a step whose pod died."""


class Activity(NamedTuple):
    """Some changes of steps that are alike in all but their step.

    - ``minute``: that in which they happened, counted from the Unix epoch.
    - ``queue``, ``task_type``: those of the steps, as they are now.
    - ``type``: the event; ``before`` and ``after`` are the statuses, ``None`` before a submission.
    - ``error``: the class of the error, see :func:`error_class`.
    - ``span``: how long the steps waited, if they were claimed, or ran, if their claim ended: the
      number of a class, see :func:`seconds_of`.
    - ``number``: how many they are.
    """

    minute: int
    queue: str
    task_type: str
    type: str
    before: StepStatus | None
    after: StepStatus
    error: str | None
    span: int | None
    number: int


_Key = tuple[int, str, str, str, StepStatus | None, StepStatus, str | None, int | None]


class ActivityPage(msgspec.Struct, frozen=True):
    """Some of the changes of a span of time. ``cursor`` continues after it; ``None``: there are no
    more. ``progress`` is the part of all that has been read, from 0 to 1."""

    changes: tuple[Activity, ...]
    cursor: str | None = None
    progress: float = 1.0


def count(briefs: Iterable[Brief], since: int, until: int) -> Iterator[Activity]:
    """The changes from ``since`` until before ``until``. ``briefs`` are all events of some steps,
    those of a step together and in order. Raises :class:`UnknownToThisVersion`."""
    counted: dict[_Key, int] = {}
    step_id: str | None = None
    status: StepStatus | None = None
    pending_ts = claimed_ts = available_ts = 0
    for brief in briefs:
        at, kind = brief.at, brief.type
        if brief.step_id != step_id:
            step_id, status = brief.step_id, None
        before, span = status, None
        if kind == "submitted":
            status = "waiting" if brief.waits else "pending"
        else:
            status = _AFTER.get(kind)
            if status is None:
                raise UnknownToThisVersion(f"an event of step {step_id!r} is {kind!r}")
        if brief.available_ts is not None:
            available_ts = brief.available_ts
        if status == "pending":
            if before != "pending":
                pending_ts = at
        elif kind == "claimed":
            span = span_of(at - max(pending_ts, available_ts))
            claimed_ts = at
        if before == "claimed" and status != "claimed":
            span = span_of(at - claimed_ts)
        if since <= at < until:
            error = None
            if kind in WITH_ERROR_CLASS and brief.error is not None:
                error = error_class(brief.error)
            minute = at // MINUTE
            key = (minute, brief.queue, brief.task_type, kind, before, status, error, span)
            counted[key] = counted.get(key, 0) + 1
    return (Activity(*key, number) for key, number in counted.items())


_AFTER: Final = {kind: effect.status for kind, effect in EFFECTS.items()}


def error_class(error: str) -> str:
    """What errors of one kind have in common: the text before the first colon of the first line,
    such as ``ValueError``."""
    text = error.partition(":")[0].partition("\n")[0].strip()
    if text.startswith("pod ") and " died " in text:
        return DIED
    return text[:MAX_ERROR_LENGTH]


def span_of(micros: int) -> int:
    """The class of a length of time."""
    return round(SPANS_PER_DECADE * math.log10(max(1, micros)))


def seconds_of(span: int) -> float:
    """The seconds in the middle of a class of lengths of time."""
    return float(10.0 ** (span / SPANS_PER_DECADE)) / MICROS
