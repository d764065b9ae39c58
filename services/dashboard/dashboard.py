"""The dashboard as routes, which an HTTP API includes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.keys import Keys
from fleet_q.services.dashboard.live import MOST_STREAMS, ChangeStream
from fleet_q.services.dashboard.overview import add_overview
from fleet_q.services.dashboard.pages import HolderOf, Pages
from fleet_q.services.dashboard.pods import add_pods
from fleet_q.services.dashboard.queues import add_queues
from fleet_q.services.dashboard.render import static_file
from fleet_q.services.dashboard.schedules import add_schedules
from fleet_q.services.dashboard.session import add_session
from fleet_q.services.dashboard.step import add_step
from fleet_q.services.dashboard.steps import add_steps
from fleet_q.services.dashboard.workflows import add_workflows

EndOf = Callable[[Request], asyncio.Event | None]
"""Returns the event that is set when the answer to a request must end, if the server has one."""

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def dashboard_routes(
    fleet: FleetQ, keys: Keys, holder_of: HolderOf, end_of: EndOf, *, read_only: bool = False
) -> list[BaseRoute]:
    """Return the routes of the dashboard of ``fleet``: ``/`` and those below ``/dashboard/``."""
    pages = Pages(fleet, keys, holder_of, read_only=read_only)
    add_overview(pages)
    add_steps(pages)
    add_step(pages)
    add_queues(pages)
    add_workflows(pages)
    add_schedules(pages)
    add_pods(pages)
    add_session(pages)

    async def changes(request: Request) -> Response:
        if pages.viewer(request) is None:
            return PlainTextResponse("sign in", 401)
        if pages.changes.pages >= MOST_STREAMS:
            return PlainTextResponse("too many pages are open", 503)
        return ChangeStream(pages.changes, end_of(request))

    pages.add_raw("changes", changes)
    return [*pages.routes, Route("/dashboard/static/{name}", _static, include_in_schema=False)]


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    file = static_file(name)
    if file is None:
        return PlainTextResponse("there is no such file", 404)
    content, fingerprint = file
    is_this = request.query_params.get("v") == fingerprint
    return Response(
        content,
        headers={
            "Cache-Control": "max-age=31536000, immutable" if is_this else "no-cache",
            "X-Content-Type-Options": "nosniff",
        },
        media_type=_TYPES[name.rpartition(".")[2]],
    )
