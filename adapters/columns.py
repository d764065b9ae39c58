"""The columns of the SQL stores' tables, derived from the core's structs.

A step's row has the fields of :class:`~fleet_q.core.step.Step`, in their order, and a pod's row
those of :class:`~fleet_q.core.pod.Pod`. A log has the columns that all its events share, and one
column for each field of any of its facts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

from msgspec import Raw
from msgspec.structs import fields

from fleet_q.core.alerts import Alert
from fleet_q.core.events import Fact, PodFact, StepFact
from fleet_q.core.lifecycle import EFFECTS, NewValue
from fleet_q.core.pod import Pod
from fleet_q.core.queues import Queue, QueueEvent
from fleet_q.core.schedules import Schedule, ScheduleEvent
from fleet_q.core.search import StepSummary
from fleet_q.core.step import Outcome, Step, Submit
from fleet_q.core.workflows import WorkflowStep
from fleet_q.sql.lists import Columns, Effect, Rows, Type

Facts = Mapping[str, type[Fact]]

_TYPES: Final[Mapping[object, Type]] = {
    str: "text",
    Raw: "text",
    int: "number",
    bool: "boolean",
}
_FROM_EVENT: Final = {
    NewValue.FROM_EVENT,
    NewValue.FROM_EVENT_OR_NOW,
    NewValue.ACTING_POD,
}


NO_COLUMNS: Final = ("children", "detached")
"""The fields of outcomes that are about other steps."""


def by_tag(union: Any) -> Facts:
    """The facts of a union, keyed by their value in the log's column ``type``."""
    return {str(fact.__struct_config__.tag): fact for fact in get_args(union)}


def columns_of(*structs: Any, without: Collection[str] = ()) -> Columns:
    """The fields of these structs as columns, except some; a field that several of them have
    appears once.

    Raises :class:`TypeError` for a field that no column can hold.
    """
    return {
        field.name: _type(field.name, field.type)
        for struct in structs
        for field in fields(struct)
        if field.name not in without
    }


def _type(name: str, annotation: Any) -> Type:
    choices = [choice for choice in get_args(annotation) or [annotation] if choice is not NoneType]
    if get_origin(annotation) is Literal:
        return "text"
    types = {"text" if get_origin(choice) is Literal else _TYPES.get(choice) for choice in choices}
    column = types.pop()
    if types or column is None:
        raise TypeError(f"no column can hold {name}: {annotation}")
    return "time" if name.endswith("_ts") else column


def _effect(event: str) -> Effect:
    effect = EFFECTS[event]
    return Effect(
        effect.status,
        {
            c: "from event" if becomes in _FROM_EVENT else becomes
            for c, becomes in effect.columns.items()
        },
    )


STEP_FACTS: Final = by_tag(StepFact)
POD_FACTS: Final = by_tag(PodFact)

STEP: Final = columns_of(Step)
POD: Final = columns_of(Pod)
STEP_FACT: Final = columns_of(*STEP_FACTS.values())
POD_FACT: Final = columns_of(*POD_FACTS.values())

ROWS: Final = Rows(
    step=STEP,
    pod=POD,
    step_event={
        "step_id": "text",
        "version": "number",
        "type": "text",
        "event_ts": "time",
        "pod_id": "text",
        **STEP_FACT,
    },
    pod_event={
        "pod_id": "text",
        "version": "number",
        "type": "text",
        "event_ts": "time",
        "by_pod_id": "text",
        **POD_FACT,
    },
    queue=columns_of(Queue),
    queue_event=columns_of(QueueEvent),
    schedule=columns_of(Schedule),
    alert=columns_of(Alert),
    schedule_event=columns_of(ScheduleEvent),
    facts={event: fact.__struct_fields__ for event, fact in STEP_FACTS.items()},
    effects={event: _effect(event) for event in EFFECTS},
    submission=columns_of(Submit),
    summary=columns_of(StepSummary),
    workflow=columns_of(WorkflowStep),
    outcome={"type": "text", **columns_of(*get_args(Outcome), without=NO_COLUMNS)},
)
