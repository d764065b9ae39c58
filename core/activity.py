"""What happened to steps, counted: how often in each minute, and how long they waited and ran.

From the counts of the present and these, the counts of any moment of the past follow, without
reading the events of single steps again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from fleet_q.core import events as ev
from fleet_q.core.errors import UnknownToThisVersion
from fleet_q.core.events import StepEvent
from fleet_q.core.lifecycle import EFFECTS, STEP_STATUSES, StepStatus
from fleet_q.core.rate import MICROS
from fleet_q.core.step import Step, evolve

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


class ActivityPage(msgspec.Struct, frozen=True):
    """Some of the changes of a span of time, read at store time ``at``. ``cursor`` continues after
    it; ``None``: there are no more. ``progress`` is the part of all that has been read, from 0 to
    1."""

    at: int
    changes: tuple[Activity, ...]
    cursor: str | None = None
    progress: float = 1.0


def page_of(
    events: Iterable[StepEvent], steps: dict[str, Step], at: int, since: int, until: int
) -> ActivityPage:
    """The changes from ``since`` until before ``until``, of a log that is ordered by id and
    version. ``steps`` are the steps as they are now."""
    counted: Counter[Activity] = Counter()
    for step_id, group in groupby(events, key=lambda event: event.stream):
        step = steps[step_id]
        counted.update(_changes(list(group), step, since, until))
    return ActivityPage(at, tuple(each._replace(number=counted[each]) for each in counted))


def _changes(history: Sequence[StepEvent], now: Step, since: int, until: int) -> Iterator[Activity]:
    step: Step | None = None
    pending_ts = claimed_ts = 0
    for event in history:
        after = evolve(step, event)
        before = None if step is None else step.status
        kind, span = event.fact.type, None
        if kind == "claimed":
            span = span_of(event.at - max(pending_ts, after.available_ts))
            claimed_ts = event.at
        elif before == "claimed" and after.status != "claimed":
            span = span_of(event.at - claimed_ts)
        if after.status == "pending" and before != "pending":
            pending_ts = event.at
        if since <= event.at < until:
            error = None
            if isinstance(event.fact, ev.Failed | ev.Retried | ev.Rejected):
                error = error_class(event.fact.error)
            minute = event.at // MINUTE
            yield Activity(
                minute, now.queue, now.task_type, kind, before, after.status, error, span, 1
            )
        step = after


def statuses_of(kind: str, told: str | None) -> tuple[StepStatus | None, StepStatus]:
    """The statuses before and after an event of this type. ``told`` is what the type does not tell:
    the status after a submission, else the status before, or the type of the event before. Raises
    :class:`UnknownToThisVersion`."""
    try:
        if kind == "submitted":
            return None, _status(told)
        effect = EFFECTS[kind]
        before = effect.sources[0] if len(effect.sources) == 1 else _status(told)
        return before, effect.status
    except KeyError as unknown:
        raise UnknownToThisVersion(f"an event is {unknown.args[0]!r}") from None


def _status(told: str | None) -> StepStatus:
    return told if told in STEP_STATUSES else EFFECTS[told or ""].status


def error_class(error: str) -> str:
    """What errors of one kind have in common: the text before the first colon of the first line,
    such as ``ValueError``."""
    text = error.partition(":")[0].partition("\n")[0].strip()
    if text.startswith("pod ") and " died " in text:
        return DIED
    return text[:MAX_ERROR_LENGTH]


def digits_of(micros: int) -> int:
    """A length of time, rounded to its first two digits: how many digits it has, times 100, plus
    these. Databases compute it, too."""
    text = str(max(0, micros))
    return len(text) * 100 + int(text[:2])


def span_of(micros: int) -> int:
    """The class of a length of time."""
    return span_of_digits(digits_of(micros))


def span_of_digits(digits: int) -> int:
    """The class of a length of time that :func:`digits_of` has rounded."""
    length, first = divmod(digits, 100)
    middle = first if length <= 2 else (first + 0.5) * 10.0 ** (length - 2)
    return round(SPANS_PER_DECADE * math.log10(max(1, middle)))


def seconds_of(span: int) -> float:
    """The seconds in the middle of a class of lengths of time."""
    return float(10.0 ** (span / SPANS_PER_DECADE)) / MICROS
