"""Sessions of drivers, and their state."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from fakesnow.fakes import FakeSnowflakeConnection

from .scene import Scene
from .transactions import Transaction

ANSWERS_KEPT: Final = 32
"""How many answers a session keeps for repeated requests."""

_numbers: Final = itertools.count(1)


@dataclass(eq=False)
class Session:
    """A session, from login to logout."""

    connection: FakeSnowflakeConnection
    scene: Scene
    user: str
    account: str
    role: str
    warehouse: str | None
    parameters: dict[str, str]
    id: int = field(default_factory=lambda: next(_numbers))
    token: str = field(default_factory=secrets.token_urlsafe)
    master_token: str = field(default_factory=secrets.token_urlsafe)
    transaction: Transaction | None = None
    request: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a statement runs: those of one session run one after another."""
    answers: OrderedDict[str, asyncio.Task[dict[str, Any]]] = field(default_factory=OrderedDict)
    idle_since: float = field(default_factory=time.monotonic)
    locked_since: float = 0.0

    @property
    def query_tag(self) -> str:
        return self.parameters.get("QUERY_TAG", "")

    @property
    def lock_timeout(self) -> float:
        return float(self.parameters.get("LOCK_TIMEOUT", self.scene.lock_timeout))

    @property
    def autocommit(self) -> bool:
        return self.parameters.get("AUTOCOMMIT", "true").lower() != "false"

    @property
    def idle_for(self) -> float:
        """Seconds since its last statement ended; 0 while one is running."""
        return 0.0 if self.request.locked() else time.monotonic() - self.idle_since

    def values(self, wanted: frozenset[str]) -> dict[str, Any]:
        """The values that a statement binds: properties of the session, and the time."""
        return {name: self._value(name) for name in wanted}

    def keep(self, request_id: str, answer: asyncio.Task[dict[str, Any]]) -> None:
        """Keep an answer for a repeated request."""
        self.answers[request_id] = answer
        if len(self.answers) > ANSWERS_KEPT:
            self.answers.popitem(last=False)

    def _value(self, name: str) -> Any:
        match name:
            case "now":
                return self.scene.now()
            case "session":
                return str(self.id)
            case "transaction":
                return str(self.transaction.id) if self.transaction else None
            case "region":
                return "AWS_EU_CENTRAL_1"
            case "warehouse" | "database" | "schema" if name in self.scene.lacking:
                return None
            case "database" | "schema":
                return getattr(self.connection, name)
        return getattr(self, name)
