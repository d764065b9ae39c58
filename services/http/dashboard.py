"""The dashboard in an HTTP API, and the HTTP API of ``fleet-q dashboard``, with nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import FastAPI
from starlette.requests import Request

from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.keys import Keys
from fleet_q.services.dashboard.dashboard import dashboard_routes
from fleet_q.services.http.access import Access
from fleet_q.services.http.base import base_http
from fleet_q.services.http.connection import ANSWER_MUST_END
from fleet_q.services.http.models import Alive


def add_dashboard(http: FastAPI, fleet: FleetQ, access: Access, *, read_only: bool = False) -> None:
    """Add the pages of the dashboard at ``/`` and below ``/dashboard/``."""
    http.router.routes.extend(
        dashboard_routes(fleet, access.keys, access.holder, _end_of, read_only=read_only)
    )


def create_dashboard_http(fleet: FleetQ, hosts: Sequence[str]) -> FastAPI:
    """Return an HTTP API that has only the dashboard of ``fleet``, without its actions, and
    ``/health``. ``hosts`` are those that requests may name in ``Host``."""
    access = Access(Keys(fleet.settings.api_keys, fleet.settings.api_keys_file))
    http = base_http(
        fleet.settings,
        access,
        hosts,
        title="FLEET-Q dashboard",
        summary="Shows a fleet.",
        forms=True,
    )

    @http.get("/health")
    def health() -> Alive:
        """200 while the process answers. It does not read the store."""
        return Alive()

    add_dashboard(http, fleet, access, read_only=True)
    return http


def _end_of(request: Request) -> asyncio.Event | None:
    event: asyncio.Event | None = request.scope.get("state", {}).get(ANSWER_MUST_END)
    return event
