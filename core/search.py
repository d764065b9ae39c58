"""Finding steps: which ones a filter selects, and what a list shows of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.step import Step
from fleet_q.core.stored_json import labels_of
from fleet_q.core.submission import labels_json

MAX_ERROR_LENGTH: Final = 500
"""The maximum number of characters of an error in a list: its first line rarely has more."""


class StepFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects the steps that meet all of its conditions; an empty or ``None`` condition is met by
    every step.

    - ``statuses``, ``task_types``, ``queues``, ``keys``: the step has one of these.
    - ``labels``: it has all of these, pairs of name and text.
    - ``pod_id``: the pod that holds it, or held it last.
    - ``workflow_id``: the workflow that it belongs to; ``in_workflow``: it belongs to any.
    - ``id_prefix``: how its id begins.
    - ``submitted_from``, ``submitted_before``: bounds of the store time of its submission.
    """

    statuses: tuple[StepStatus, ...] = ()
    task_types: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    pod_id: str | None = None
    workflow_id: str | None = None
    in_workflow: bool = False
    id_prefix: str = ""
    submitted_from: int | None = None
    submitted_before: int | None = None

    def selects(self, step: Step | StepSummary) -> bool:
        """Whether ``step`` meets all conditions."""
        return (
            (not self.statuses or step.status in self.statuses)
            and (not self.task_types or step.task_type in self.task_types)
            and (not self.queues or step.queue in self.queues)
            and (not self.keys or step.key in self.keys)
            and (not self.labels or self.labels_are_in(step.labels))
            and (self.pod_id is None or step.claimed_by == self.pod_id)
            and (self.workflow_id is None or step.workflow_id == self.workflow_id)
            and (not self.in_workflow or step.workflow_id is not None)
            and step.step_id.startswith(self.id_prefix)
            and (self.submitted_from is None or step.created_ts >= self.submitted_from)
            and (self.submitted_before is None or step.created_ts < self.submitted_before)
        )

    def labels_are_in(self, labels: str | None) -> bool:
        """Whether a step with these labels, a JSON text, has all labels of the filter."""
        stored = labels_of(labels)
        return all(stored.get(name) == text for name, text in self.labels)

    def label_pairs(self) -> list[str]:
        """The labels as they are in the JSON text of a step, in the same order. There, a comma or a
        brace precedes each, and neither is followed by an unescaped quote within a text."""
        return [labels_json({name: text})[1:-1] for name, text in sorted(self.labels)]


class StepSummary(msgspec.Struct, frozen=True, gc=False):
    """What a list shows of a step: the columns of :class:`~fleet_q.core.step.Step`, without the
    large texts; ``error`` is cut after ``MAX_ERROR_LENGTH`` characters."""

    step_id: str
    status: StepStatus
    priority: int
    retry_count: int
    max_retries: int
    created_ts: int
    last_update_ts: int
    available_ts: int
    claimed_by: str | None
    version: int
    queue: str
    task_type: str
    key: str | None
    unique_key: str | None
    labels: str | None
    timeout: int | None
    workflow_id: str | None
    progress: str | None
    start_by_ts: int | None
    snoozes: int
    error: str | None

    @classmethod
    def of(cls, step: Step) -> StepSummary:
        """The summary of a step."""
        columns = {name: getattr(step, name) for name in cls.__struct_fields__}
        columns["error"] = step.error and step.error[:MAX_ERROR_LENGTH]
        return cls(**columns)

    @property
    def claimed_ts(self) -> int | None:
        """When the step was claimed, or last saved a checkpoint, if it is claimed: no other event
        leaves it so."""
        return self.last_update_ts if self.status == "claimed" else None


class StepList(msgspec.Struct, frozen=True):
    """A page of a list, newest first, read at store time ``at``. ``cursor`` continues after it;
    ``None``: there are no more steps. A page may have few or no steps without being the last, as a
    store bounds what it reads for one; ``searched`` is how many steps it has looked at."""

    at: int
    steps: tuple[StepSummary, ...]
    cursor: str | None
    searched: int


Place = tuple[int, str]
"""The place of a step in a list of a store that sorts steps: see :func:`place`."""


def place(step: Step | StepSummary) -> Place:
    """Sort key of a list, in which the latest step is the first."""
    return (step.created_ts, step.step_id)


def to_cursor(step: Step | StepSummary) -> str:
    """The cursor of a page that ends with the step."""
    return f"{step.created_ts} {step.step_id}"


def to_place(cursor: str) -> Place:
    """The place of the last step of the page that ended with ``cursor``."""
    created_ts, step_id = cursor.split(" ", 1)
    return (int(created_ts), step_id)


def page(at: int, steps: Sequence[StepSummary], limit: int, searched: int) -> StepList:
    """The page with the steps that a search for up to ``limit`` found, in order. If there are
    fewer, it is the last."""
    cursor = to_cursor(steps[-1]) if steps and len(steps) == limit else None
    return StepList(at, tuple(steps), cursor, searched)
