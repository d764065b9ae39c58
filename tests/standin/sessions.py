"""Sessions of drivers, and their state."""

from __future__ import annotations

import asyncio
import itertools
import math
import secrets
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from fakesnow.fakes import FakeSnowflakeConnection

from .scene import Scene
from .transactions import Transaction

ANSWERS_KEPT: Final = 32
"""How many answers a session keeps for repeated requests."""

LOCK_TIMEOUT: Final = "43200"
"""Snowflake's default of the parameter of that name, in seconds."""

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
    host: str = ""
    """The server's host and port, as the client names them."""
    id: int = field(default_factory=lambda: next(_numbers))
    token: str = field(default_factory=secrets.token_urlsafe)
    master_token: str = field(default_factory=secrets.token_urlsafe)
    transaction: Transaction | None = None
    request: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a statement runs: those of one session run one after another."""
    answers: OrderedDict[str, asyncio.Task[dict[str, Any]]] = field(default_factory=OrderedDict)
    query_ids: dict[str, str] = field(default_factory=dict)
    """The ids of its asynchronous queries, by those of their requests."""
    attached: Counter[str] = field(default_factory=Counter)
    """How many connections wait for the answer to each request, by its id."""
    idle_since: float = field(default_factory=time.monotonic)
    locked_since: float = 0.0
    began: int = 0
    """When its statement began, in microseconds since 1970; functions return this time."""
    deadline: float = math.inf
    """When its statement times out, on the monotonic clock."""
    callee: Session | None = None
    """The session in which the body of a procedure runs that this session has called."""
    has_owner_rights: bool = False
    """Whether it is such a session, of a procedure with owner's rights."""
    is_canceled: bool = False
    """Whether its statement, or the CALL that it belongs to, was cancelled."""
    sleep: asyncio.Future[None] | None = None
    """Done when its statement need not take its time any more."""

    @property
    def where(self) -> tuple[str, str]:
        """The database and the schema in use; empty texts for none."""
        return self.connection.database or "", self.connection.schema or ""

    @property
    def query_tag(self) -> str:
        return self.parameters.get("QUERY_TAG", "")

    @property
    def lock_timeout(self) -> float:
        return float(self.parameters.get("LOCK_TIMEOUT", LOCK_TIMEOUT))

    @property
    def statement_timeout(self) -> float:
        """Seconds after which a statement is cancelled, whatever it waits for."""
        return _limit(self.parameters.get("STATEMENT_TIMEOUT_IN_SECONDS", "0"))

    @property
    def queued_timeout(self) -> float:
        """Seconds after which a statement is cancelled that queues for the warehouse."""
        return _limit(self.parameters.get("STATEMENT_QUEUED_TIMEOUT_IN_SECONDS", "0"))

    @property
    def aborts_detached(self) -> bool:
        """Whether a statement is cancelled some time after its client is gone."""
        return self.parameters.get("ABORT_DETACHED_QUERY", "false").lower() == "true"

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

    def begin_statement(self, is_request: bool) -> None:
        """Note the time at which a statement begins; those of a procedure share the deadline of
        their CALL."""
        self.began = self.scene.now()
        if is_request:
            self.is_canceled = False
            self.deadline = time.monotonic() + self.statement_timeout

    def cancel(self) -> None:
        """Cancel its statement."""
        self.is_canceled = True
        if self.sleep is not None and not self.sleep.done():
            self.sleep.set_result(None)

    def keep(self, request_id: str, answer: asyncio.Task[dict[str, Any]]) -> None:
        """Keep an answer for a repeated request."""
        self.answers[request_id] = answer
        if len(self.answers) > ANSWERS_KEPT:
            self.answers.popitem(last=False)

    def _value(self, name: str) -> Any:
        match name:
            case "now":
                return self.began
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


def _limit(seconds: str) -> float:
    """A limit in seconds; 0 is none."""
    return float(seconds) or math.inf
