"""Serves an HTTP API on an address while something else runs."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from starlette.types import ASGIApp

from fleet_q.services.app.hosts import bracketed
from fleet_q.services.app.keys import Keys
from fleet_q.services.app.settings import Settings
from fleet_q.services.http.listener import address_of, default_hosts, is_loopback
from fleet_q.services.http.server import HttpServer, limits_for
from fleet_q.services.http.tls import Tls
from fleet_q.services.worker.careful_log import CarefulLogger

log = CarefulLogger("fleet_q.process")


def serving(
    create: Callable[[Sequence[str]], ASGIApp],
    settings: Settings,
    host: str,
    listener: socket.socket,
    *,
    exposed: str,
) -> AbstractContextManager[None]:
    """Serve an API on ``listener``, which was opened for ``host``, while the body runs.

    ``create`` makes the API for the hosts that requests may name. ``exposed`` says what everybody
    can do who can connect, for the warning if the API has no keys and other machines can. Raises
    :class:`InvalidInput` at once if the files of the settings cannot be used.
    """
    Keys(settings.api_keys, settings.api_keys_file)
    return _serving(create, settings, host, listener, exposed, Tls.of(settings))


@contextlib.contextmanager
def _serving(
    create: Callable[[Sequence[str]], ASGIApp],
    settings: Settings,
    host: str,
    listener: socket.socket,
    exposed: str,
    tls: Tls | None,
) -> Iterator[None]:
    port = listener.getsockname()[1]
    scheme = "http" if tls is None else "https"
    log.info("listening on %s://%s:%d", scheme, bracketed(address_of(listener)), port)
    is_open = not settings.has_keys and settings.tls_client_ca is None
    if is_open and not is_loopback(listener):
        log.warning(
            "everybody who can connect to port %d can %s; set FLEET_Q_API_KEYS, or listen on"
            " 127.0.0.1",
            port,
            exposed,
        )
    http = create(settings.allowed_hosts or default_hosts(listener, host))
    with HttpServer(http, listener, limits_for(settings.max_payload_bytes), tls):
        yield
