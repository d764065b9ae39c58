"""The settings, faults and log of one schema."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

from .faults import Faults
from .locks import WAITERS
from .log import Entry, ResultCache

LOCK_TIMEOUT: Final = 43_200.0
"""Snowflake's default, in seconds; a session's parameter of that name overrides it."""

IDLE_ABORT: Final = 300.0
"""Seconds of idleness after which Snowflake rolls a transaction back that others wait for."""


@dataclass
class Scene:
    """One schema's settings, faults and log. Every test uses a schema of its own, so many
    tests can share one server."""

    clock: int | None = None
    """A fixed time for CURRENT_TIMESTAMP(), in microseconds since 1970; ``None``: the machine's
    clock."""
    latency: float = 0.0
    """Seconds that every statement takes in addition."""
    waiters: int = WAITERS
    lock_timeout: float = LOCK_TIMEOUT
    idle_abort: float = IDLE_ABORT
    denied: list[list[str]] = field(default_factory=list)
    """Pairs of a privilege and a table that it is denied on."""
    lacking: list[str] = field(default_factory=list)
    """Which of warehouse, database and schema are NULL to a session, as they are in Snowflake if
    they do not exist or its role may not use them."""
    auto_suspend: int | None = 60
    """Seconds after which an idle warehouse is suspended; ``None``: never."""
    auto_resume: bool = True
    """Whether a statement wakes the warehouse."""
    faults: Faults = field(default_factory=Faults)
    log: list[Entry] = field(default_factory=list)
    cache: ResultCache = field(default_factory=ResultCache)

    def now(self) -> int:
        """The time, in microseconds since 1970."""
        return time.time_ns() // 1_000 if self.clock is None else self.clock

    def set(self, settings: dict[str, Any]) -> None:
        """Change some of the settings."""
        for name, value in settings.items():
            if name not in SETTINGS:
                raise ValueError(f"{name!r} is not a setting; settings are {', '.join(SETTINGS)}")
            setattr(self, name, value)


SETTINGS: Final = ("clock", "latency", "waiters", "lock_timeout", "idle_abort", "denied",
            "lacking", "auto_suspend", "auto_resume")  # fmt: skip
