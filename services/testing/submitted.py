"""What was submitted: the steps of a task with certain arguments, and how others are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fleet_q.core.submission import TASK_TYPE
from fleet_q.services.app.callables import ARGUMENTS
from fleet_q.services.app.tasks import Task
from fleet_q.services.app.views import StepView

MOST_SHOWN: Final = 20
"""The most steps that a message shows."""

LONGEST: Final = 200
"""The most characters of a step's arguments in a message."""

_MISSING: Final = object()

AnyTask = Task[Any, Any] | str
"""A task, or a task type."""


def selected(
    steps: Iterable[StepView], task: AnyTask, arguments: Mapping[str, Any]
) -> list[StepView]:
    """The steps of ``task`` that have these arguments, and perhaps others. An argument that was not
    given has its default. Raises ``TypeError`` for an argument that the task does not have."""
    wanted, defaults = dict(arguments), {}
    if not isinstance(task, str):
        wanted, defaults = task.some_as_json(arguments), task.defaults
    return [
        step
        for step in steps
        if step.task_type == name_of(task)
        and all(
            arguments_of(step).get(name, defaults.get(name, _MISSING)) == value
            for name, value in wanted.items()
        )
    ]


def name_of(task: AnyTask) -> str | None:
    """The task type."""
    return task if isinstance(task, str) else task.name


def arguments_of(step: StepView) -> dict[str, Any]:
    """The arguments of a step by name, as JSON values."""
    arguments = {name: value for name, value in step.payload.items() if name != TASK_TYPE}
    nested = arguments.get(ARGUMENTS)
    return nested if isinstance(nested, dict) else arguments


def called(task_type: str | None, arguments: Mapping[str, Any]) -> str:
    """A call of the task in one line."""
    text = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return f"{task_type or 'a step without a task type'}({shown})"


def listed(steps: list[StepView]) -> str:
    """The steps, one a line, for a message."""
    if not steps:
        return "nothing was submitted"
    lines = [f"  {called(step.task_type, arguments_of(step))}  {step.status}" for step in steps]
    if len(lines) > MOST_SHOWN:
        lines[MOST_SHOWN:] = [f"  and {len(steps) - MOST_SHOWN} more"]
    return "\n".join(["submitted were", *lines])
