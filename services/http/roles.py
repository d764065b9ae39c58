"""The role that each endpoint requires. An endpoint that is not listed here cannot be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleet_q.services.app.roles import Role

ENDPOINTS: Final[Mapping[str, Role]] = {
    "GET /status/{step_id}": "read",
    "GET /steps": "read",
    "GET /steps/{step_id}/history": "read",
    "GET /workflows/{workflow_id}": "read",
    "GET /queues": "read",
    "GET /queues/{name}/history": "read",
    "GET /schedules": "read",
    "GET /schedules/{name}/next": "read",
    "GET /schedules/{name}/history": "read",
    "GET /admin/queue": "read",
    "GET /admin/leader": "read",
    "GET /admin/pods": "read",
    "GET /admin/dlq": "read",
    "GET /admin/alerts": "read",
    "GET /admin/audit": "read",
    "GET /demand": "read",
    "GET /metrics": "read",
    "POST /submit": "submit",
    "POST /submit/batch": "submit",
    "POST /steps/{step_id}/cancel": "submit",
    "POST /workflows/{workflow_id}/cancel": "submit",
    "POST /schedules/{name}/trigger": "submit",
    "POST /claim": "work",
    "POST /steps/{step_id}/complete": "work",
    "POST /steps/{step_id}/fail": "work",
    "POST /steps/{step_id}/release": "work",
    "POST /steps/{step_id}/snooze": "work",
    "POST /steps/{step_id}/checkpoint": "work",
    "POST /steps/{step_id}/heartbeat": "work",
    "POST /steps/cancel": "admin",
    "POST /steps/replay": "admin",
    "POST /steps/set-priority": "admin",
    "POST /workflows/{workflow_id}/retry": "admin",
    "PUT /queues/{name}": "admin",
    "POST /queues/{name}/pause": "admin",
    "POST /queues/{name}/resume": "admin",
    "PUT /schedules/{name}": "admin",
    "DELETE /schedules/{name}": "admin",
    "POST /schedules/{name}/pause": "admin",
    "POST /schedules/{name}/resume": "admin",
    "POST /admin/recovery/run": "admin",
    "POST /admin/dlq/replay": "admin",
}
"""The least role by method and path. HEAD requires what GET does."""

OPEN: Final = frozenset(
    {"GET /health", "GET /docs", "GET /docs/oauth2-redirect", "GET /redoc", "GET /openapi.json"}
)
"""The endpoints that need no key: they tell nothing of the steps."""


def role_of(method: str, path: str) -> Role:
    """Return the role that an endpoint requires. ``path`` is that of its route; a parameter's
    converter is left out. Raises :class:`KeyError` if it is not listed."""
    return ENDPOINTS[f"{method} {path.replace(':any_id', '')}"]
