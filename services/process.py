"""A pod as a process: the reference worker, with or without HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app import FleetQ
from fleet_q.services.http import create_http
from fleet_q.services.http_server import HttpServer, limits_for
from fleet_q.services.pod import Pod
from fleet_q.services.signals import ending_with_its_pod

log = logging.getLogger("fleet_q.process")


def run_worker(app: FleetQ) -> None:
    """Run a pod until it is told to stop. Raises what ended it, if it was not that."""
    _run(app, None)


def run_server(app: FleetQ, host: str, port: int) -> None:
    """Run a pod with its HTTP API on ``host:port`` until it is told to stop.

    Raises :class:`InvalidInput` if nothing can listen there.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(
            f"cannot listen on {host}:{port}: {reason}; choose another --host or --port"
        ) from None
    with listener:
        _run(app, listener)


def _run(app: FleetQ, listener: socket.socket | None) -> None:
    with ending_with_its_pod() as govern:
        asyncio.run(_live(app, listener, govern))


async def _live(app: FleetQ, listener: socket.socket | None, govern: Callable[[Pod], None]) -> None:
    async with app.running() as pod:
        govern(pod)
        with _serving(app, listener):  # also while the pod drains
            await asyncio.to_thread(pod.ended.wait)
    if pod.error is not None:
        raise pod.error


@contextlib.contextmanager
def _serving(app: FleetQ, listener: socket.socket | None) -> Iterator[None]:
    """Answer requests while the body runs."""
    if listener is None:
        yield
        return
    host, port = listener.getsockname()[:2]
    log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    with HttpServer(create_http(app), listener, limits_for(app.settings.max_payload_bytes)):
        yield
