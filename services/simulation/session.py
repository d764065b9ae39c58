"""Sessions: the progress of one call through its statements."""

from __future__ import annotations

from typing import Any, Final

from fleet_q.adapters.memory import MemoryDatabase
from fleet_q.core.calls import StoreCall
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.models import Script, Statement
from fleet_q.services.simulation.scenario import TransactionFault

READS: Final = frozenset(
    {
        "alerts", "change_counter", "dead_letters", "described_pods", "final_steps",
        "fold_heartbeats", "orphans", "pods", "queue_stats", "schedules", "step",
    }
)  # fmt: skip
"""Calls that are one query, or change nothing here."""


class Session:
    """One call of an actor, which is carried out by the statements of ``script``. ``view``: the
    late copy of the database that answers it if it is a query, since reads are stale."""

    __slots__ = (
        "_has_ended", "_statement", "aborted", "actor", "answer", "arrived_at", "call", "clock_at",
        "error", "fault", "fault_at", "halted", "has_committed", "held", "held_since",
        "last_lock_at", "next", "over", "requests", "returned", "script", "sent_at", "view",
        "waits_for", "waits_for_slot", "waits_since",
    )  # fmt: skip

    def __init__(
        self, actor: Actor, call: StoreCall, script: Script, view: MemoryDatabase | None = None
    ) -> None:
        self.actor = actor
        self.call = call
        self.script = script
        self.returned: Any = None  # by the call of the latest statement
        self._statement: Statement | None = None
        self._has_ended = False
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
        self.has_committed = False  # a part of what it does, or all
        self.halted = False  # its client waits before the next statement
        self.aborted = False  # rolled back while its client was silent
        self.over = False
        self.answer: Any = None
        self.error: Exception | None = None

    def statement(self) -> Statement | None:
        """The next statement; ``None`` after the last one. It is drawn when it is first asked for:
        it may depend on what the one before returned."""
        if self._statement is None and not self._has_ended:
            try:
                self._statement = self.script.body.send(self.returned)
            except StopIteration as end:
                self._has_ended, self.answer = True, end.value
            else:
                self.returned = None
        return self._statement

    def advance(self) -> None:
        """The next statement has ended."""
        self.next += 1
        self._statement = None

    @property
    def is_query(self) -> bool:
        """Whether it is a single query."""
        return self.call.method in READS

    @property
    def is_in_procedure(self) -> bool:
        """Whether the server executes its statements without the client, and rolls back if one
        fails."""
        if self.script.is_procedure:
            return True
        statement = self.statement()
        return statement is not None and not statement.begins_request

    @property
    def is_blocking(self) -> bool:
        """Whether it keeps locks until its client goes on, which a fault holds up, or which is
        dead or frozen."""
        is_held_up = self.halted or self.actor.is_silent
        return bool(self.held) and is_held_up and not self.is_in_procedure
