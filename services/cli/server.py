"""Runs a pod with an HTTP API as a process: the command ``serve``, and ``worker`` with metrics.

Importing FastAPI takes longer than everything else, so that ``worker`` does without.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleet_q.services.app.app import FleetQ
from fleet_q.services.cli.process import run_pod
from fleet_q.services.cli.serving import serving
from fleet_q.services.http.api import create_http
from fleet_q.services.http.listener import listen
from fleet_q.services.http.metrics import create_metrics_http


def run_server(
    app: FleetQ, host: str, port: int, *, lease: bool, task_types: Sequence[str] | None
) -> None:
    """Run a pod with its HTTP API on ``host:port`` until a signal stops it, otherwise like
    :func:`fleet_q.services.cli.process.run_worker`. With ``lease``, the pod runs no functions:
    clients of the API claim steps, of these types or all, and end them.

    Raises :class:`InvalidInput` if the address cannot be listened on.
    """
    app.measure()
    with listen(host, port) as listener:
        server = serving(
            lambda hosts: create_http(app, allowed_hosts=hosts, lease=lease, dashboard=True),
            app.settings,
            host,
            listener,
            exposed=f"submit, read{', claim' if lease else ''} and cancel steps",
        )
        run_pod(app, server, app.leasing(task_types) if lease else None)


def run_measured_worker(app: FleetQ, host: str, port: int) -> None:
    """Run a pod like :func:`fleet_q.services.cli.process.run_worker`, and serve its metrics on
    ``host:port``. Raises :class:`InvalidInput` if the address cannot be listened on."""
    app.measure()
    with listen(host, port) as listener:
        server = serving(
            lambda hosts: create_metrics_http(app, hosts),
            app.settings,
            host,
            listener,
            exposed="read the metrics",
        )
        run_pod(app, server)
