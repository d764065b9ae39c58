"""Opens the socket that the HTTP API listens on, and derives the hosts that it accepts."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from typing import Final

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.hosts import ANY, LOOPBACK, bracketed

BACKLOG: Final = 2048


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on ``host``, a name or an address, and ``port``.

    Of a name's addresses the first that works is used, IPv4 before IPv6. ``::`` means all
    addresses, IPv4 and IPv6. Raises :class:`InvalidInput` if none works.
    """
    reason: object = "it has no address"
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        addresses, reason = [], getattr(error, "strerror", None) or error
    for family, _, _, _, address in sorted(addresses, key=lambda info: info[0] != socket.AF_INET):
        both = address[0] == "::" and socket.has_dualstack_ipv6()
        try:
            return socket.create_server(
                address, family=family, backlog=BACKLOG, dualstack_ipv6=both
            )
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else error
    raise InvalidInput(
        f"cannot listen on {bracketed(host)}:{port}: {reason}; choose another --host or --port"
    )


def is_loopback(listener: socket.socket) -> bool:
    """Whether only processes of this machine can connect to it."""
    return ip_address(address_of(listener).partition("%")[0]).is_loopback


def address_of(listener: socket.socket) -> str:
    """Return the address that the socket listens on."""
    return str(listener.getsockname()[0])


def default_hosts(listener: socket.socket, host: str) -> tuple[str, ...]:
    """Return the hosts that requests may name in ``Host`` when ``FLEET_Q_ALLOWED_HOSTS`` is unset.

    On loopback, only the names of this machine: the browsers of its users can reach the pod, and
    a page must not. On any other address, every host, because the pod's names are not known.
    """
    if not is_loopback(listener):
        return (ANY,)
    return (*LOOPBACK, bracketed(host), bracketed(address_of(listener)))
