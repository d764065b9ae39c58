"""What every probe works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from fleet_q.adapters.snowflake.probe.client import Client
from fleet_q.adapters.snowflake.probe.result import Found
from fleet_q.adapters.snowflake.probe.scratch import Scratch
from fleet_q.adapters.snowflake.store import SnowflakeStore

PATIENCE: Final = 5.0
"""Seconds after which a probe takes it that a statement waits."""


class Room:
    """An account, and tables of the probe's own.

    ``times`` are the durations found so far, by the fields of
    :class:`~fleet_q.adapters.snowflake.times.Times`. ``store`` has tables of its own too.
    """

    def __init__(self, connection: Mapping[str, Any], *, is_long: bool, patience: float) -> None:
        self.connection = connection
        self.is_long = is_long
        self.patience = patience
        self.scratch = Scratch()
        self.times: dict[str, float] = {}
        self.store = SnowflakeStore(connection, prefix=self.scratch.prefix)
        self._main: Client | None = None
        self._clients: list[Client] = []

    @property
    def main(self) -> Client:
        """The session that all probes share, signed in when it is first used."""
        if self._main is None:
            self._main = Client(self.connection, self.scratch, {})
        return self._main

    def client(self, **parameters: Any) -> Client:
        """Another session, with session parameters of its own, until the end of this probe."""
        client = Client(self.connection, self.scratch, parameters)
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        """End the sessions of a probe."""
        while self._clients:
            self._clients.pop().close()

    def close(self) -> None:
        """End all sessions."""
        self.close_clients()
        self.store.close()
        main, self._main = self._main, None
        if main is not None:
            main.close()


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to find out.

    ``seconds`` and ``statements`` are about what it takes on a real account. ``why`` says what of
    FLEET-Q depends on the result. If it fails itself, that is a failure if it ``is_essential``. One
    that ``is_long`` is only tried when asked for.
    """

    name: str
    expected: str
    why: str
    run: Callable[[Room], Found]
    seconds: float
    statements: int
    is_essential: bool = False
    is_long: bool = False
