"""The role that each page and action of the dashboard requires. One that is not listed cannot be
made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleet_q.services.app.roles import Role

PAGES: Final[Mapping[str, Role]] = {
    "GET /": "read",
    "GET /dashboard/steps": "read",
    "GET /dashboard/step": "read",
    "GET /dashboard/change-steps": "admin",
    "GET /dashboard/queues": "read",
    "GET /dashboard/queue": "read",
    "GET /dashboard/workflows": "read",
    "GET /dashboard/workflow": "read",
    "GET /dashboard/schedules": "read",
    "GET /dashboard/schedule": "read",
    "GET /dashboard/pods": "read",
    "GET /dashboard/pod": "read",
    "GET /dashboard/changes": "read",
    "POST /dashboard/cancel-steps": "admin",
    "POST /dashboard/replay-steps": "admin",
    "POST /dashboard/reprioritize-steps": "admin",
    "POST /dashboard/cancel-step": "submit",
    "POST /dashboard/replay-step": "admin",
    "POST /dashboard/reprioritize-step": "admin",
    "POST /dashboard/pause-queue": "admin",
    "POST /dashboard/resume-queue": "admin",
    "POST /dashboard/set-queue": "admin",
    "POST /dashboard/cancel-workflow": "submit",
    "POST /dashboard/retry-workflow": "admin",
    "POST /dashboard/pause-schedule": "admin",
    "POST /dashboard/resume-schedule": "admin",
    "POST /dashboard/trigger-schedule": "submit",
}
"""The least role by method and path."""

OPEN: Final = frozenset(
    {
        "GET /dashboard/sign-in",
        "POST /dashboard/sign-in",
        "POST /dashboard/sign-out",
        "GET /dashboard/static/{name}",
    }
)
"""What needs no key: it tells nothing of the steps."""


def role_of(method: str, name: str) -> Role:
    """Return the role that a page or an action requires. Raises :class:`KeyError` if it is not
    listed."""
    return PAGES[f"{method} {path_of(name)}"]


def path_of(name: str) -> str:
    """The path of a page or an action."""
    return f"/dashboard/{name}" if name else "/"
