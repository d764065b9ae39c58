"""Conversion between rows of SQL stores and the core's structs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import NODEFAULT, Raw
from msgspec.structs import asdict, astuple, fields

from fleet_q.adapters.columns import NO_COLUMNS, POD_FACTS, ROWS, STEP_FACTS, Facts
from fleet_q.core.alerts import Alert
from fleet_q.core.effects import json_text_or_none
from fleet_q.core.errors import UnknownToThisVersion
from fleet_q.core.events import JSON_FIELDS, Event, Fact, PodEvent, StepEvent
from fleet_q.core.lifecycle import STEP_STATUSES, StepStatus
from fleet_q.core.log import LogFilter
from fleet_q.core.pod import Pod
from fleet_q.core.ports import CheckedSubmission
from fleet_q.core.queues import QUEUE_EVENT_TYPES, Queue, QueueEvent
from fleet_q.core.schedules import SCHEDULE_EVENT_TYPES, Schedule, ScheduleEvent
from fleet_q.core.search import StepFilter
from fleet_q.core.step import Outcome, Step
from fleet_q.core.workflows import MOMENTS, WorkflowStep
from fleet_q.sql.lists import Columns

Row = Sequence[Any]


def to_step(row: Row) -> Step:
    """The step of a row of ``step_tracker`` with its columns in the order of the struct's
    fields."""
    return Step(*row)


def to_pod(row: Row) -> Pod:
    """The pod of a row of ``pod_health`` with its columns in the order of the struct's fields."""
    return Pod(*row)


def to_queue(row: Row) -> Queue:
    """The queue of a row of ``queues`` with its columns in the order of the struct's fields."""
    return msgspec.convert(_named(row, Queue.__struct_fields__), Queue, strict=False)


def to_queue_event(row: Row) -> QueueEvent:
    """The event of a row of ``queue_events``, likewise. Raises :class:`UnknownToThisVersion` for a
    type that this version does not know."""
    values = _named(row, QueueEvent.__struct_fields__)
    if values["type"] not in QUEUE_EVENT_TYPES:
        raise UnknownToThisVersion(
            f"event {values['version']} of queue {values['queue']!r} is {values['type']!r}"
        )
    return msgspec.convert(values, QueueEvent, strict=False)


def to_schedule(row: Row) -> Schedule:
    """The schedule of a row of ``schedules``, likewise."""
    return msgspec.convert(_named(row, Schedule.__struct_fields__), Schedule, strict=False)


def to_schedule_event(row: Row) -> ScheduleEvent:
    """The event of a row of ``schedule_events``, likewise. Raises :class:`UnknownToThisVersion` for
    a type that this version does not know."""
    values = _named(row, ScheduleEvent.__struct_fields__)
    if values["type"] not in SCHEDULE_EVENT_TYPES:
        raise UnknownToThisVersion(
            f"event {values['version']} of schedule {values['schedule']!r} is {values['type']!r}"
        )
    return msgspec.convert(values, ScheduleEvent, strict=False)


def to_alert(row: Row) -> Alert:
    """The alert of a row of ``alerts``, likewise."""
    return msgspec.convert(_named(row, Alert.__struct_fields__), Alert, strict=False)


def _named(row: Row, names: Sequence[str]) -> dict[str, Any]:
    return dict(zip(names, row, strict=True))


def to_counts(counts: Iterable[tuple[str, int]]) -> dict[StepStatus, int]:
    """The number of steps in each status, including zeros. A status may appear in several rows.

    Raises :class:`UnknownToThisVersion` for a status that this version does not know.
    """
    totals = dict.fromkeys(STEP_STATUSES, 0)
    for status, count in counts:
        if status not in totals:
            raise UnknownToThisVersion(f"{count} step(s) have the status {status!r}")
        totals[status] += count
    return totals


class Log:
    """Converts rows of a log to events and back. A row has the five columns that all events share,
    then one for each field of any fact. ``what`` is ``step`` or ``pod``, for error messages."""

    def __init__(self, what: str, facts: Facts, columns: Columns) -> None:
        self._what = what
        self._names = list(columns)
        self._facts = {kind: (fact, self._fields(fact)) for kind, fact in facts.items()}

    def to_event(self, row: Row) -> Event[Any]:
        """The event of a row. Raises :class:`UnknownToThisVersion` for a type that this version
        does not know."""
        stream, version, kind, at, pod_id = row[:_SHARED]
        try:
            fact, fields = self._facts[kind]
        except KeyError:
            message = f"event {version} of {self._what} {stream!r} is {kind!r}"
            raise UnknownToThisVersion(message) from None
        values: list[Any] = []
        for place, is_json, default in fields:
            value = row[place]
            if value is None:
                value = default
            elif is_json:
                value = Raw(value)
            values.append(value)
        return Event(stream, version, at, pod_id, fact(*values))

    def to_row(self, event: Event[Any]) -> Row:
        """The row of an event."""
        kind = event.fact.type
        row = [event.stream, event.version, kind, event.at, event.pod_id]
        row += [None] * (len(self._names) - _SHARED)
        _, fields = self._facts[kind]
        for (place, is_json, _), value in zip(fields, astuple(event.fact), strict=True):
            row[place] = json_text_or_none(value) if is_json else value
        return row

    def _fields(self, fact: type[Fact]) -> list[tuple[int, bool, object]]:
        """For each field its index in a row, whether it is JSON, and its value if the column is
        NULL: the default of a field that was added after the event was written."""
        return [
            (
                self._names.index(field.name),
                field.name in JSON_FIELDS,
                None if field.default is NODEFAULT else field.default,
            )
            for field in fields(fact)
        ]


_SHARED: Final = 5
_STEP_LOG: Final = Log("step", STEP_FACTS, ROWS.step_event)
_POD_LOG: Final = Log("pod", POD_FACTS, ROWS.pod_event)


def to_step_event(row: Row) -> StepEvent:
    """The event of a row of ``step_events``. Raises :class:`UnknownToThisVersion`."""
    return _STEP_LOG.to_event(row)


def to_pod_event(row: Row) -> PodEvent:
    """The event of a row of ``pod_events``. Raises :class:`UnknownToThisVersion`."""
    return _POD_LOG.to_event(row)


def step_event_row(event: StepEvent) -> Row:
    """The row of ``step_events`` for an event; the reverse of :func:`to_step_event`."""
    return _STEP_LOG.to_row(event)


def pod_event_row(event: PodEvent) -> Row:
    """The row of ``pod_events`` for an event; the reverse of :func:`to_pod_event`."""
    return _POD_LOG.to_row(event)


def outcomes_json(outcomes: Sequence[Outcome], pod_id: str) -> str:
    """The JSON of a pod's outcomes that ``sync.sql`` takes as ``:outcomes``."""
    return encode([{**_outcome(outcome), "pod_id": pod_id} for outcome in outcomes])


def submissions_json(submission: CheckedSubmission) -> str:
    """The JSON of a submission that ``submit.sql`` takes as ``:submissions``."""
    shared = {"submission_id": submission.submission_id}
    if submission.by is not None:
        shared["pod_id"] = submission.by
    new = [{**asdict(submit), **shared} for submit in submission.steps]
    replaced = [
        {**asdict(each.by), "step_id": each.step_id, "replaces": each.version, **shared}
        for each in submission.replacements
    ]
    return encode(new + replaced)


def filter_values(step_filter: StepFilter) -> dict[str, Any]:
    """The conditions of a filter as values of a statement, without its labels: several texts as a
    JSON list, and ``None`` for a condition that every step meets."""

    def texts(values: Sequence[str]) -> str | None:
        return encode(values) if values else None

    return {
        "statuses": texts(step_filter.statuses),
        "task_types": texts(step_filter.task_types),
        "queues": texts(step_filter.queues),
        "keys": texts(step_filter.keys),
        "pod_id": step_filter.pod_id,
        "workflow_id": step_filter.workflow_id,
        "in_workflow": 1 if step_filter.in_workflow else None,
        "id_prefix": step_filter.id_prefix,
        "submitted_from": step_filter.submitted_from,
        "submitted_before": step_filter.submitted_before,
    }


def log_values(selected: LogFilter) -> dict[str, Any]:
    """The conditions of a filter of the log as values of a statement, without its times."""
    types = encode(selected.types) if selected.types else None
    return {"by": selected.by, "types": types, "queue": selected.queue}


def moments_of(steps: Sequence[WorkflowStep]) -> dict[str, Any]:
    """The values of ``moments.sql`` for these steps."""
    step_ids = [step.step_id for step in steps]
    return {"step_ids": encode(step_ids), "types": encode(MOMENTS)}


def encode(value: Any) -> str:
    """A value as JSON text, to be bound to a statement."""
    return msgspec.json.encode(value).decode()


def _outcome(outcome: Outcome) -> dict[str, Any]:
    values = {"type": outcome.__struct_config__.tag, **asdict(outcome)}
    for field in NO_COLUMNS:
        values.pop(field, None)
    for field in JSON_FIELDS & values.keys():
        values[field] = values[field].strip()
    return values
