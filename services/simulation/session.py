"""Sessions: the progress of one call through its statements."""

from __future__ import annotations

from typing import Any

from fleet_q.adapters.memory import MemoryDatabase
from fleet_q.core.calls import StoreCall
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.models import Script
from fleet_q.services.simulation.scenario import TransactionFault


class Session:
    """One call of an actor, which is carried out by the statements of ``script``. ``view``: the
    late copy of the database that answers it if it is a query, since reads are stale."""

    __slots__ = (
        "aborted", "actor", "answer", "arrived_at", "call", "clock_at", "error", "fault",
        "fault_at", "halted", "held", "held_since", "last_lock_at", "next", "over", "requests",
        "script", "sent_at", "view", "waits_for", "waits_for_slot", "waits_since",
    )  # fmt: skip

    def __init__(
        self, actor: Actor, call: StoreCall, script: Script, view: MemoryDatabase | None = None
    ) -> None:
        self.actor = actor
        self.call = call
        self.script = script
        self.view = view
        self.next = 0  # number of the next statement
        self.requests = 0  # that were sent
        self.sent_at = 0.0  # when the client sent the latest one
        self.arrived_at = 0.0  # when the server received it
        self.clock_at: float | None = None  # when the first statement that needs locks began
        self.held: list[str] = []
        self.held_since = 0.0
        self.last_lock_at = 0.0
        self.waits_for: str | None = None
        self.waits_for_slot = False
        self.waits_since = 0.0
        self.fault: TransactionFault | None = None
        self.fault_at = 0  # the request before which it occurs
        self.halted = False  # its client waits before the next statement
        self.aborted = False  # rolled back while its client was silent
        self.over = False
        self.answer: Any = None
        self.error: Exception | None = None

    @property
    def is_query(self) -> bool:
        """Whether it is a single statement, and so writes nothing."""
        return len(self.script) == 1

    @property
    def is_in_procedure(self) -> bool:
        """Whether the next statement is one of several in its request, which the server executes
        without the client, and rolls back if one fails."""
        return any(not statement.begins_request for statement in self.script[self.next :][:2])

    @property
    def is_blocking(self) -> bool:
        """Whether it keeps locks until its client goes on, which a fault holds up, or which is
        dead or frozen."""
        is_held_up = self.halted or self.actor.is_silent
        return bool(self.held) and is_held_up and not self.is_in_procedure
