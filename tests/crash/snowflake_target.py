"""A schema in the stand-in for Snowflake that a round disturbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from fleet_q.adapters.snowflake.store import SnowflakeStore
from tests.crash.checks import Log
from tests.crash.client import Client
from tests.crash.fleet import Fleet
from tests.crash.plan import DEAD_AFTER, Act, Expiry, Outage, RequestFault
from tests.crash.schedule import Schedule
from tests.standin.client import Standin
from tests.tables import create_tables

PATIENCE: Final = 5.0
"""Seconds for which a call of the round's own client is retried."""

IDLE_ABORT: Final = 2.0
"""Seconds after which the stand-in rolls back an idle transaction that others wait for. Snowflake
takes 300."""


class SnowflakeTarget:
    """See :class:`tests.crash.target.Target`."""

    def __init__(self, folder: Path, schedule: Schedule) -> None:
        data = folder / "snowflake"
        data.mkdir()
        self.cuts: list[Path] = []  # power cuts concern local files only
        self._schedule = schedule
        self._standin = Standin(data)
        self._standin.start()
        self._is_up = True
        self._schema = self._standin.schema("QUEUE")
        self._schema.set(idle_abort=IDLE_ABORT)
        self.url = self._schema.url
        dead_after = DEAD_AFTER["snowflake"]
        self.env: Mapping[str, str] = self._schema.environment | {
            "FLEET_Q_HEARTBEAT_INTERVAL": str(dead_after / 4),
            "FLEET_Q_DEAD_POD_THRESHOLD": str(dead_after),
        }
        create_tables(self._schema)

    def open(self) -> SnowflakeStore:
        return SnowflakeStore(self._schema.parameters, patience=PATIENCE)

    def do(self, act: Act, fleet: Fleet, client: Client) -> list[str]:
        match act:
            case Outage(seconds):
                self._kill()
                self._schedule.after(seconds, self._restart)
            case Expiry() if self._is_up:
                self._schema.end_sessions()
            case RequestFault() if self._is_up:
                self._schema.fault(**asdict(act))
            case Expiry() | RequestFault():
                pass  # the server is down
            case _:
                raise ValueError(f"{act} does not disturb Snowflake")
        return []

    def compare(self, log: Log) -> list[str]:
        return []

    def stop_disturbing(self) -> None:
        self._schema.no_faults()

    def close(self) -> None:
        if self._is_up:
            self._kill()

    def _kill(self) -> None:
        if self._is_up:
            self._is_up = False
            self._standin.kill()

    def _restart(self) -> None:
        if not self._is_up:
            self._standin.start()
            self._is_up = True
            self._schema.set(idle_abort=IDLE_ABORT)
