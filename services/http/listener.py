"""Where the HTTP API listens, and whom that lets in."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address
from typing import Final

from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.hosts import ANY, LOOPBACK, bracketed

BACKLOG: Final = 2048


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on ``host``, a name or an address, and ``port``.

    Of a name's addresses it takes the first that it can, IPv4 before IPv6. ``::`` is every
    address of either kind. Raises :class:`InvalidInput` if nothing can listen there.
    """
    reason: object = "it has no address"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        found, reason = [], getattr(error, "strerror", None) or error
    for family, _, _, _, address in sorted(found, key=lambda each: each[0] != socket.AF_INET):
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
    """Whether only processes of this machine reach it."""
    return ip_address(address_of(listener).partition("%")[0]).is_loopback


def address_of(listener: socket.socket) -> str:
    """The address that it listens on."""
    return str(listener.getsockname()[0])


def default_hosts(listener: socket.socket, host: str) -> tuple[str, ...]:
    """What requests may call a pod that listens there, if no setting says so.

    The names of this machine alone on loopback, for there the machine's browsers are the ones who
    may be led to it; any elsewhere, where it may have any name.
    """
    if not is_loopback(listener):
        return (ANY,)
    return (*LOOPBACK, bracketed(host), bracketed(address_of(listener)))
