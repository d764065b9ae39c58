"""Runs a pod as a process, with or without HTTP: the commands ``worker`` and ``serve``."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Final

from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.hosts import bracketed
from fleet_q.services.http.api import create_http
from fleet_q.services.http.listener import address_of, default_hosts, is_loopback, listen
from fleet_q.services.http.server import HttpServer, limits_for
from fleet_q.services.worker.careful_log import CarefulLogger
from fleet_q.services.worker.loop_thread import LoopThread
from fleet_q.services.worker.signals import ending_with_its_pod

log = CarefulLogger("fleet_q.process")

SIGNAL_CHECK_INTERVAL: Final = 0.5
"""Seconds. The system may deliver a signal to any thread, but Python runs its handler in the main
thread, which must therefore wake up from time to time."""


def run_worker(app: FleetQ) -> None:
    """Run a pod until a signal stops it. Raises the error that ended it otherwise.

    The process must exit afterwards; if it has not after some seconds, it is killed.
    """
    _run(app, contextlib.nullcontext())


def run_server(app: FleetQ, host: str, port: int) -> None:
    """Run a pod with its HTTP API on ``host:port``, otherwise like :func:`run_worker`.

    Raises :class:`InvalidInput` if the address cannot be listened on.
    """
    with listen(host, port) as listener:
        _run(app, _serving(app, host, listener))


@contextlib.contextmanager
def _serving(app: FleetQ, host: str, listener: socket.socket) -> Iterator[None]:
    """Serve the HTTP API while the body runs."""
    settings = app.settings
    port = listener.getsockname()[1]
    log.info("listening on http://%s:%d", bracketed(address_of(listener)), port)
    if not settings.api_keys and not is_loopback(listener):
        log.warning(
            "everybody who can connect to port %d can submit, read and cancel steps; set"
            " FLEET_Q_API_KEYS, or listen on 127.0.0.1",
            port,
        )
    http = create_http(app, allowed_hosts=settings.allowed_hosts or default_hosts(listener, host))
    with HttpServer(http, listener, limits_for(settings.max_payload_bytes)):
        yield


def _run(app: FleetQ, server: AbstractContextManager[object]) -> None:
    with ending_with_its_pod() as govern, LoopThread() as thread:
        with app.running_on(thread.loop) as pod:
            govern(pod)
            with server:  # it serves until the pod has drained
                while not pod.ended.wait(SIGNAL_CHECK_INTERVAL):
                    pass
        if pod.error is not None:
            raise pod.error
