"""Tries which of Snowflake's hosts this machine can reach."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

TIMEOUT: Final = 3.0
"""Seconds for a connection to one host."""

STORAGE: Final = "STAGE"
"""The type of the hosts of the cloud's storage, from which clients fetch large results."""


class Host(msgspec.Struct, frozen=True):
    """A host that clients have to reach, as SYSTEM$ALLOWLIST returns it:
    https://docs.snowflake.com/en/sql-reference/functions/system_allowlist."""

    type: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def hosts(allowlist: str) -> list[Host]:
    """The hosts of an answer of SYSTEM$ALLOWLIST, without those that stand for many. Raises
    ``msgspec.MsgspecError`` if it is no such answer."""
    listed = msgspec.json.decode(allowlist, type=list[Host], strict=False)
    return [host for host in dict.fromkeys(listed) if not host.host.startswith("*")]


def unreachable(
    wanted: Iterable[Host], connect: Callable[[Host], None] | None = None
) -> list[Host]:
    """The hosts to which no connection can be opened. All are tried at once; ``connect`` raises
    ``OSError`` if it fails."""
    all_hosts = list(wanted)
    with ThreadPoolExecutor(max(len(all_hosts), 1)) as threads:
        reached = list(threads.map(lambda host: _is_reached(host, connect or _connect), all_hosts))
    return [host for host, is_reached in zip(all_hosts, reached, strict=True) if not is_reached]


def _is_reached(host: Host, connect: Callable[[Host], None]) -> bool:
    try:
        connect(host)
    except OSError:
        return False
    return True


def _connect(host: Host) -> None:
    socket.create_connection((host.host, host.port), TIMEOUT).close()
