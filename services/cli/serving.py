"""Serves an HTTP API on an address while something else runs."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence

from starlette.types import ASGIApp

from fleet_q.services.app.hosts import bracketed
from fleet_q.services.app.settings import Settings
from fleet_q.services.http.listener import address_of, default_hosts, is_loopback
from fleet_q.services.http.server import HttpServer, limits_for
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.process")


@contextlib.contextmanager
def serving(
    create: Callable[[Sequence[str]], ASGIApp],
    settings: Settings,
    host: str,
    listener: socket.socket,
    *,
    exposed: str,
) -> Iterator[None]:
    """Serve an API on ``listener``, which was opened for ``host``, while the body runs.

    ``create`` makes the API for the hosts that requests may name. ``exposed`` says what everybody
    can do who can connect, for the warning if the API has no keys and other machines can.
    """
    port = listener.getsockname()[1]
    log.info("listening on http://%s:%d", bracketed(address_of(listener)), port)
    if not settings.has_keys and not is_loopback(listener):
        log.warning(
            "everybody who can connect to port %d can %s; set FLEET_Q_API_KEYS, or listen on"
            " 127.0.0.1",
            port,
            exposed,
        )
    http = create(settings.allowed_hosts or default_hosts(listener, host))
    with HttpServer(http, listener, limits_for(settings.max_payload_bytes)):
        yield
