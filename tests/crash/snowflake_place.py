"""A schema in the stand-in for Snowflake, and what can happen to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from fleet_q.adapters.snowflake.migrate import migrate
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from tests.crash.agenda import Agenda
from tests.crash.checks import Log
from tests.crash.client import Client
from tests.crash.fleet import Fleet
from tests.crash.plan import DEAD_AFTER, Act, Expiry, Outage, Trouble
from tests.standin.client import Standin

PATIENCE: Final = 5.0
"""Seconds for which the round's own client tries a call again."""


IDLE_ABORT: Final = 2.0
"""Seconds after which a transaction is rolled back that a dead pod left open and that others wait
for: Snowflake's own are 300."""


class SnowflakePlace:
    """See :class:`tests.crash.place.Place`."""

    def __init__(self, folder: Path, agenda: Agenda) -> None:
        data = folder / "snowflake"
        data.mkdir()
        self.cuts: list[Path] = []  # the power of Snowflake's machines is its own affair
        self._virtual_clock = agenda
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
        session = Session(self._schema.parameters, Statements())
        for _ in migrate(session):
            pass
        session.close()

    def open(self) -> SnowflakeStore:
        return SnowflakeStore(self._schema.parameters, patience=PATIENCE)

    def do(self, act: Act, fleet: Fleet, client: Client) -> list[str]:
        match act:
            case Outage(seconds):
                self._go_down()
                self._virtual_clock.later(seconds, self._come_up)
            case Expiry() if self._is_up:
                self._schema.end_sessions()
            case Trouble() if self._is_up:
                self._schema.fault(**asdict(act))
            case Expiry() | Trouble():
                pass  # there is nobody whom it could happen to
            case _:
                raise ValueError(f"{act} does not happen to Snowflake")
        return []

    def compare(self, log: Log) -> list[str]:
        return []

    def calm(self) -> None:
        self._schema.no_faults()

    def close(self) -> None:
        if self._is_up:
            self._go_down()

    def _go_down(self) -> None:
        if self._is_up:
            self._is_up = False
            self._standin.kill()

    def _come_up(self) -> None:
        if not self._is_up:
            self._standin.start()
            self._is_up = True
            self._schema.set(idle_abort=IDLE_ABORT)
