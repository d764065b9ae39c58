"""The HTTP API of ``fleet-q scaler``: the demand of a fleet for Prometheus and for KEDA."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from fleet_q.services.app.keys import Keys
from fleet_q.services.app.settings import Settings
from fleet_q.services.http.access import Access
from fleet_q.services.http.base import base_http
from fleet_q.services.http.models import Alive
from fleet_q.services.http.route import locked_router
from fleet_q.services.scaler.metrics import CONTENT_TYPE, prometheus_text
from fleet_q.services.scaler.scaler import Demand, Scaler


class _PrometheusText(PlainTextResponse):
    media_type = CONTENT_TYPE


def create_scaler_http(scaler: Scaler, settings: Settings, hosts: Sequence[str]) -> FastAPI:
    """Return the HTTP API of ``scaler``. It checks the keys and hosts of ``settings`` as the API of
    a pod does; ``hosts`` are those that requests may name in ``Host``."""
    access = Access(Keys(settings.api_keys, settings.api_keys_file))
    http = base_http(
        settings, access, hosts, title="FLEET-Q scaler", summary="How many pods a fleet needs."
    )

    @http.get("/health")
    def health() -> Alive:
        """200 while the scaler runs. It does not read the store: a restart would not help."""
        return Alive()

    locked = locked_router(access)

    @locked.get("/demand")
    def demand() -> Demand:
        """Return the steps that wait and run, and how many pods they need."""
        return scaler.demand()

    @locked.get("/metrics", response_class=_PrometheusText)
    def metrics() -> _PrometheusText:
        """Return the demand in the text format of Prometheus."""
        return _PrometheusText(prometheus_text(scaler.demand()))

    http.include_router(locked)
    return http
