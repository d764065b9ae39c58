"""Parses and compares the hosts in ``Host``, ``Origin`` and ``FLEET_Q_ALLOWED_HOSTS``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, NamedTuple, Self

ANY: Final = "*"
LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")

_HOST: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{0,5}))?")
_PORTS: Final = {"http": 80, "https": 443}


class Host(NamedTuple):
    """A host's name or address, and its port; ``None`` if no port was given."""

    name: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse ``name``, ``name:port`` or ``[IPv6]:port``; return ``None`` if it is not a host.

        The name is lower-cased and loses a final dot, so that equal hosts compare equal.
        """
        match = _HOST.fullmatch(text)
        if match is None:
            return None
        address, name, port = match.groups()
        if address is not None:
            try:
                name = str(ip_address(address))
            except ValueError:
                return None
        name = name.lower().removesuffix(".")
        return cls(name, int(port) if port else None) if name else None

    @classmethod
    def of_origin(cls, text: str) -> Self | None:
        """Parse an ``Origin``; the port is its scheme's by default. ``None`` if it has no host."""
        scheme, _, rest = text.partition("://")
        host = cls.parse(rest)
        if host is None or scheme not in _PORTS:
            return None
        return cls(host.name, host.port or _PORTS[scheme])

    @property
    def is_address(self) -> bool:
        """Whether it is an IP address, which DNS cannot point to another machine."""
        try:
            ip_address(self.name)
        except ValueError:
            return False
        return True

    def is_among(self, hosts: Iterable[str]) -> bool:
        """Whether ``hosts`` contain this host. An entry without a port matches every port."""
        return any(
            host is not None and host.name == self.name and host.port in (None, self.port)
            for host in map(Host.parse, hosts)
        )


def is_host(text: str) -> bool:
    """Whether ``text`` may stand in ``FLEET_Q_ALLOWED_HOSTS``."""
    return text == ANY or Host.parse(text) is not None


def bracketed(address: str) -> str:
    """Return an address in the form that URLs use: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address
