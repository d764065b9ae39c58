"""The routes of a pod by hand, as its callers choose them."""

from __future__ import annotations

from collections.abc import Sequence

from fleet_q.core.errors import InvalidInput
from fleet_q.core.routing import Routes
from fleet_q.core.submission import check_id, check_queue
from fleet_q.services.app.settings import Settings


def chosen_routes(
    settings: Settings, queues: Sequence[str] | None, task_types: Sequence[str] | None
) -> Routes:
    """Check and return the routes to these queues and task types. ``None`` stands for the queues of
    the settings, and for all types; the type ``""`` for steps that have none."""
    if queues is None:
        queues = settings.queues or None
    else:
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
