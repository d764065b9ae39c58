"""What every probe works with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from fleet_q.adapters.snowflake.migrate import migrate
from fleet_q.adapters.snowflake.probe.client import Client
from fleet_q.adapters.snowflake.probe.process import ClientProcess
from fleet_q.adapters.snowflake.probe.result import Found
from fleet_q.adapters.snowflake.probe.scratch import Scratch
from fleet_q.adapters.snowflake.schema import TableKind
from fleet_q.adapters.snowflake.store import SnowflakeStore

PATIENCE: Final = 5.0
"""Seconds after which a probe takes it that a statement waits."""


Lane = Literal["store", "locks", "reads"]
"""The probes of one lane run one after another, those of different lanes side by side. ``store``
uses the probe's own store, the others have tables of their own."""


class Stopped(Exception):
    """The probes were interrupted."""


class Shared(msgspec.Struct, frozen=True):
    """What the probes of one account share.

    ``times`` are the durations found so far, by the fields of
    :class:`~fleet_q.adapters.snowflake.times.Times`; ``calls`` those of the store's methods, at the
    client, and ``procedures`` those of the stored procedures, on the server. ``patience``: see
    :data:`PATIENCE`.
    """

    connection: Mapping[str, Any]
    is_long: bool
    patience: float
    prefix: str
    times: dict[str, float]
    calls: dict[str, float]
    procedures: dict[str, float]


class Room:
    """The sessions of probes that run one after another. ``store`` has tables of the probe's own;
    ``is_stopped``: the probes were interrupted."""

    def __init__(self, shared: Shared, lane: Lane) -> None:
        self.shared = shared
        self.scratch = Scratch(shared.prefix, lane)
        self.patience = shared.patience
        self.store = SnowflakeStore(shared.connection, prefix=shared.prefix)
        self._main: Client | None = None
        self._open: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self.is_stopped = False

    @property
    def main(self) -> Client:
        """A session that stays open, signed in when it is first used."""
        if self._main is None:
            self._main = Client(self.shared.connection, self.scratch, {})
        return self._main

    def client(self, **parameters: Any) -> Client:
        """Another session, with session parameters of its own, until the end of this probe."""
        client = Client(self.shared.connection, self.scratch, parameters)
        self._keep(client.close)
        return client

    def process(self, statements: Sequence[str], **parameters: Any) -> ClientProcess:
        """A client in a process of its own, which is killed at the end of this probe at the
        latest."""
        connection = Client.parameters(self.shared.connection, parameters)
        process = ClientProcess(connection, statements)
        self._keep(process.kill)
        return process

    def migrate(self, store: SnowflakeStore, kind: TableKind | None = None) -> int:
        """Make the tables and procedures of a store; return the number of statements. Raises
        :class:`Stopped` as soon as the probes are interrupted, so that nothing is made that is not
        dropped again."""
        statements = 0
        for _ in migrate(store.session, kind):
            statements += 1
            if self.is_stopped:
                raise Stopped
        return statements

    def end_probe(self) -> None:
        """End the sessions and processes of a probe."""
        with self._lock:
            ends, self._open = self._open, []
        for end in reversed(ends):
            end()

    def stop(self) -> None:
        """Let the probe that runs fail soon: end its sessions, and let it have no others."""
        with self._lock:
            self.is_stopped = True
        self.end_probe()

    def close(self) -> None:
        """End all sessions."""
        self.end_probe()
        self.store.close()
        main, self._main = self._main, None
        if main is not None:
            main.close()

    def _keep(self, end: Callable[[], None]) -> None:
        with self._lock:
            self._open.append(end)
            is_stopped = self.is_stopped
        if is_stopped:
            self.end_probe()
            raise Stopped


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to find out.

    ``seconds`` and ``statements`` are about what it takes on a real account. ``why`` says what of
    FLEET-Q depends on it. If it fails itself, that is a failure if it ``is_essential``. One that
    ``is_long`` is only tried when asked for.
    """

    name: str
    expected: str
    why: str
    run: Callable[[Room], Found]
    lane: Lane
    seconds: float
    statements: int
    is_essential: bool = False
    is_long: bool = False
