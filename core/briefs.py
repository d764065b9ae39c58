"""Briefs: what counts and lanes need of an event of a step, without the large texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from fleet_q.core.events import Claimed, StepEvent, Submitted
from fleet_q.core.step import Step

MAX_ERROR_LENGTH: Final = 500
"""The maximum number of characters of an error; its first line rarely has more."""


class Brief(NamedTuple):
    """An event of a step. ``queue`` and ``task_type`` are those of the step as they are now;
    ``waits``: it is the submission of a step that waits for others."""

    step_id: str
    queue: str
    task_type: str
    type: str
    at: int
    available_ts: int | None
    waits: bool
    pod_id: str | None
    incarnation: str | None
    error: str | None


def briefs_of(events: Iterable[StepEvent], steps: dict[str, Step]) -> Iterator[Brief]:
    """The briefs of these events; ``steps`` are their steps as they are now."""
    for event in events:
        step, fact = steps[event.stream], event.fact
        error = getattr(fact, "error", None)
        yield Brief(
            event.stream,
            step.queue,
            step.task_type,
            fact.type,
            event.at,
            getattr(fact, "available_ts", None),
            isinstance(fact, Submitted) and fact.parents is not None,
            event.pod_id,
            fact.incarnation if isinstance(fact, Claimed) else None,
            None if error is None else error[:MAX_ERROR_LENGTH],
        )
