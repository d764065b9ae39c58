"""What tests have set up for one schema, and what happened in it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

from .faults import Faults
from .locks import WAITERS
from .log import Entry, ResultCache

LOCK_TIMEOUT: Final = 43_200.0
"""Snowflake's default, in seconds; a session's parameter of that name goes before it."""

IDLE_ABORT: Final = 300.0
"""Seconds of idleness after which Snowflake rolls a transaction back that others wait for."""


@dataclass
class Scene:
    """One schema's settings, faults and log. Every store in a test has a schema of its own, so
    that many tests can share one server."""

    clock: int | None = None
    """The time that CURRENT_TIMESTAMP() gives, in microseconds since 1970, while it stands still;
    ``None``: that of the machine."""
    latency: float = 0.0
    """Seconds that pass before every statement."""
    waiters: int = WAITERS
    lock_timeout: float = LOCK_TIMEOUT
    idle_abort: float = IDLE_ABORT
    denied: list[list[str]] = field(default_factory=list)
    """Pairs of a privilege and a table that the role does not have."""
    lacking: list[str] = field(default_factory=list)
    """Which of warehouse, database and schema a session has not, whatever it named: what is not
    there, or not for its role to use, is NULL to a session."""
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
                raise ValueError(f"{name!r} is no setting; there are {', '.join(SETTINGS)}")
            setattr(self, name, value)


SETTINGS: Final = ("clock", "latency", "waiters", "lock_timeout", "idle_abort", "denied",
            "lacking", "auto_suspend", "auto_resume")  # fmt: skip
