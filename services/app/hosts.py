"""Names of hosts as they stand in ``Host``, ``Origin`` and ``FLEET_Q_ALLOWED_HOSTS``."""

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
    """A host by name or address, and its port if one is named."""

    name: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """``text`` without regard to case and a last dot; ``None`` if it is not a host."""
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
        """The host of an ``Origin``, always with its port; ``None`` if it is that of no site."""
        scheme, _, rest = text.partition("://")
        host = cls.parse(rest)
        if host is None or scheme not in _PORTS:
            return None
        return cls(host.name, host.port or _PORTS[scheme])

    @property
    def is_address(self) -> bool:
        """Whether it is an address, which no name server can make another machine's."""
        try:
            ip_address(self.name)
        except ValueError:
            return False
        return True

    def is_among(self, hosts: Iterable[str]) -> bool:
        """Whether one of ``hosts`` is this one; without a port, it is so on any port."""
        return any(
            known is not None and known.name == self.name and known.port in (None, self.port)
            for known in map(Host.parse, hosts)
        )


def is_host(text: str) -> bool:
    """Whether ``FLEET_Q_ALLOWED_HOSTS`` may name it."""
    return text == ANY or Host.parse(text) is not None


def bracketed(address: str) -> str:
    """An address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address
