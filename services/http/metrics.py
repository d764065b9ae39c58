"""The endpoint ``/metrics``, and the HTTP API of ``fleet-q worker --metrics-port``."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request, Response

from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.keys import Keys
from fleet_q.services.http.access import Access
from fleet_q.services.http.base import base_http
from fleet_q.services.http.route import locked_router
from fleet_q.services.metrics.exposition import Exposition
from fleet_q.services.metrics.fleet_count import FleetCount, seen_by


def add_metrics(locked: APIRouter, fleet: FleetQ) -> None:
    """Add ``/metrics`` of the pod that ``fleet`` runs, and count what happens to it from now on."""
    metrics = fleet.measure()
    count = FleetCount(
        lambda: fleet.store, fleet.settings, seen=lambda: seen_by(fleet.pod, metrics)
    )
    exposition = Exposition(lambda: fleet.pod, metrics, count)

    @locked.get("/metrics", responses={200: {"content": {"text/plain": {}}}})
    def get_metrics(request: Request) -> Response:
        """Return the metrics of the pod and of its fleet in the text format of Prometheus."""
        text, media_type = exposition.text(request.headers.get("Accept", ""))
        return Response(text, headers={"Content-Type": media_type})


def create_metrics_http(fleet: FleetQ, hosts: Sequence[str]) -> FastAPI:
    """Return an HTTP API that serves nothing but ``/metrics`` of the pod that ``fleet`` runs."""
    settings = fleet.settings
    access = Access(Keys(settings.api_keys, settings.api_keys_file))
    http = base_http(
        settings, access, hosts, title="FLEET-Q metrics", summary="The metrics of a pod."
    )
    locked = locked_router(access)
    add_metrics(locked, fleet)
    http.include_router(locked)
    return http
