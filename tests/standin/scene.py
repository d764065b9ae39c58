"""The settings, faults and log of one schema."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, fields
from typing import Any, Final

from .faults import Faults
from .locks import WAITERS
from .log import Entry, ResultCache
from .rows import Rows

IDLE_ABORT: Final = 300.0
"""Seconds of idleness after which Snowflake rolls a transaction back that others wait for."""


@dataclass
class Settings:
    """The settings that tests can change, by name."""

    clock: int | None = None
    """A fixed time for CURRENT_TIMESTAMP(), in microseconds since 1970; ``None``: the machine's
    clock."""
    times: dict[str, float] = field(default_factory=dict)
    """Seconds that statements take, by the fields of ``adapters/snowflake/times.py``; what is
    missing takes no time besides the stand-in's own."""
    slots: int = 8
    """Statements that the warehouse runs at a time; others queue. Only those have a slot that take
    time according to ``times``."""
    waiters: int = WAITERS
    idle_abort: float = IDLE_ABORT
    denied: list[list[str]] = field(default_factory=list)
    """Pairs of a privilege and what it is denied on: a table, a procedure or the schema."""
    lacking: list[str] = field(default_factory=list)
    """Which of warehouse, database and schema are NULL to a session, as they are in Snowflake if
    they do not exist or its role may not use them."""
    most_bytes: int = 16 * 1024 * 1024
    """Bytes of UTF-8 of the largest value that may be bound or returned."""
    storage: str = "inline"
    """How the rows of a large result are returned: ``inline``, with the answer, or at a URL that
    ``serves`` them, ``refuses`` connections, or ``hangs``."""
    most_inline: int = 100_000
    """Bytes of rows that are returned with the answer in any case. Snowflake's number is not
    documented; about 100 KB was observed."""
    detached_abort: float = 300.0
    """Seconds after which a statement is cancelled whose client is gone, if the session's parameter
    ABORT_DETACHED_QUERY is true."""
    numbers: dict[str, str] = field(default_factory=dict)
    """Numbers of errors by their names, instead of those in :mod:`tests.standin.errors`."""
    auto_suspend: int | None = 60
    """Seconds after which an idle warehouse is suspended; ``None``: never."""
    auto_resume: bool = True
    """Whether a statement wakes the warehouse."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Values of parameters that SHOW PARAMETERS shows, instead of those that are set."""
    retention: dict[str, list[str]] = field(default_factory=dict)
    """Kind and days of Time Travel of tables, by name; others are permanent, with one day."""
    allowlist: list[dict[str, Any]] = field(default_factory=list)
    """The answer of SYSTEM$ALLOWLIST."""


SETTINGS: Final = tuple(each.name for each in fields(Settings))


@dataclass
class Scene(Settings):
    """One schema's settings, faults and log. Every test uses a schema of its own, so many
    tests can share one server."""

    faults: Faults = field(default_factory=Faults)
    log: list[Entry] = field(default_factory=list)
    cache: ResultCache = field(default_factory=ResultCache)
    rows: Rows = field(default_factory=dict)
    """What its tables are reset to."""
    kept_retention: dict[str, list[str]] = field(default_factory=dict)
    """Their kinds and Time Travel, to which ``retention`` is reset with them."""
    _slots: tuple[int, asyncio.Semaphore] = field(default=(0, asyncio.Semaphore(0)))

    def now(self) -> int:
        """The time, in microseconds since 1970."""
        return time.time_ns() // 1_000 if self.clock is None else self.clock

    @property
    def slots_in_use(self) -> asyncio.Semaphore:
        """The slots of the warehouse."""
        if self._slots[0] != self.slots:
            self._slots = self.slots, asyncio.Semaphore(self.slots)
        return self._slots[1]

    def seconds(self, name: str) -> float:
        """How long something takes."""
        return self.times.get(name, 0.0)

    def denies(self, privilege: str, name: str) -> bool:
        """Whether a privilege on a table, a procedure or the schema is denied."""
        wanted = privilege.upper(), name.upper()
        return any((denied.upper(), on.upper()) == wanted for denied, on in self.denied)

    def reset(self) -> None:
        """Restore the defaults of everything but the tables."""
        new = Scene(
            rows=self.rows,
            kept_retention=self.kept_retention,
            retention=self.kept_retention.copy(),
        )
        for each in fields(self):
            setattr(self, each.name, getattr(new, each.name))

    def set(self, settings: dict[str, Any]) -> None:
        """Change some of the settings."""
        for name, value in settings.items():
            if name not in SETTINGS:
                raise ValueError(f"{name!r} is not a setting; settings are {', '.join(SETTINGS)}")
            setattr(self, name, value)
