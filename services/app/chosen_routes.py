"""The routes of a pod by hand, as those who start it and its clients choose them."""

from __future__ import annotations

from collections.abc import Sequence

from fleet_q.core.errors import InvalidInput
from fleet_q.core.routing import Routes, named
from fleet_q.core.submission import check_id, check_queue
from fleet_q.services.app.settings import Settings


def chosen_routes(
    settings: Settings, queues: Sequence[str] | None, task_types: Sequence[str] | None
) -> Routes:
    """Check and return the routes to these queues and task types. ``None`` stands for the queues of
    the settings, and for all types; the type ``""`` for steps that have none."""
    routes = _checked(queues, task_types)
    return Routes(settings.queues or None, routes.task_types) if queues is None else routes


def routes_within(
    pod: Routes, queues: Sequence[str] | None, task_types: Sequence[str] | None
) -> Routes:
    """The routes to these queues and task types that a pod with its routes can serve. Raises
    :class:`InvalidInput` if there is none, since no step would ever come."""
    routes = _checked(queues, task_types).within(pod)
    for what, names, served in (
        ("queues", routes.queues, pod.queues),
        ("task types", routes.task_types, pod.task_types),
    ):
        if names == ():
            raise InvalidInput(f"this pod claims only the {what} {named(served or ())}")
    return routes


def _checked(queues: Sequence[str] | None, task_types: Sequence[str] | None) -> Routes:
    if queues is not None:
        queues = tuple(map(check_queue, _names(queues, "queues")))
    if task_types is not None:
        task_types = tuple(
            check_id(name, "a task type") if name else ""
            for name in _names(task_types, "task_types")
        )
    return Routes(queues, task_types)


def _names(names: object, what: str) -> Sequence[str]:
    if isinstance(names, str) or not isinstance(names, Sequence) or not names:
        raise InvalidInput(f"{what} must be a list of names, not {names!r}")
    return names
