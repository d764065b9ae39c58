"""The simulated store server: statements take time, wait for locks and slots, and fail.

A call is a script of statements. It takes effect at its COMMIT, as a whole, through the production
``EventStore`` over memory, whether or not the client receives the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Final

from msgspec.structs import replace

from fleet_q.adapters.ids import INTAKE
from fleet_q.adapters.snowflake.deadline import FETCH_TIMEOUT
from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import (
    DataRefused,
    FleetQError,
    StoreContended,
    StoreUnavailable,
    UnknownStoreError,
)
from fleet_q.core.event_store import EventStore
from fleet_q.core.ports import SyncResult
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.models import Statement, StoreModel
from fleet_q.services.simulation.recording import RecordingDatabase
from fleet_q.services.simulation.resources import Resources
from fleet_q.services.simulation.scenario import OUTSIDER, TransactionFault
from fleet_q.services.simulation.scripts import script
from fleet_q.services.simulation.server_stats import ServerStats
from fleet_q.services.simulation.session import Session
from fleet_q.services.simulation.simulated_store import SimulatedStore, View
from fleet_q.services.simulation.stale import StaleViews
from fleet_q.services.simulation.store_state import StoreState
from fleet_q.services.simulation.virtual_clock import VirtualClock

LARGE_RESULT: Final = 2
"""Claimed steps in a result that is fetched from the cloud's storage."""

ERRORS: Final = {
    "fails": "a statement failed",
    "deadlocks": "deadlock",
}
"""The errors of a transaction fault that the adapter knows to pass. Any other one is temporary,
too, unless it is known to be fatal."""


class Server:
    """The simulated store. ``on_done`` is called with each call that took effect, and its answer;
    ``on_death`` with an actor that a fault kills, and the seconds until its restart. ``refuses``:
    whether a call binds a value that is too large. ``stale``: answers stale reads, if there are
    any."""

    def __init__(
        self,
        virtual_clock: VirtualClock,
        model: StoreModel,
        database: RecordingDatabase,
        chance: Random,
        *,
        on_done: Callable[[Actor, StoreCall, Any], object],
        on_death: Callable[[Actor, float | None], object],
        state: StoreState,
        refuses: Callable[[StoreCall], bool] = lambda call: False,
        stale: StaleViews | None = None,
    ) -> None:
        self.model = model
        self.state = state
        self.stats = ServerStats()
        self.transaction_faults: dict[str, list[TransactionFault]] = {}
        self._stale = stale
        self._virtual_clock = virtual_clock
        self._database = database
        self._store = SimulatedStore(database, lambda: virtual_clock.now, self._report)
        self._chance = chance
        self._on_done = on_done
        self._on_death = on_death
        self._refuses = refuses
        self._factors = [chance.lognormvariate(0.0, model.time_sigma) for _ in range(4_096)]
        self._open: dict[Session, None] = {}
        self._resources = Resources(
            virtual_clock,
            model,
            state,
            self.stats,
            on_ready=self._run,
            on_failed=self._fail_and_roll_back,
            on_abandoned=self._discard,
        )

    def perform(self, actor: Actor, call: StoreCall) -> None:
        """Begin a call. Its actor is resumed with the answer or an error."""
        self.stats.calls += 1
        self.stats.syncs += call.method in ("sync", "post")
        view = self._stale.view(actor, call.method) if self._stale is not None else None
        statements = script(self.model, call, actor, lambda: bool(self._database.inbox))
        session = Session(actor, call, statements, view)
        session.halted = actor.name == OUTSIDER
        faults = self.transaction_faults.get(actor.name)
        if faults and not session.is_query:
            session.fault = faults.pop(0)
            session.fault_at = session.fault.statement % (session.script.requests + 1)
        self._open[session] = None
        if self.state.is_out:
            self._fail(session, StoreUnavailable("the store: unavailable"))
        elif self._refuses(call):
            self._fail(session, DataRefused("the store: a value is larger than 16 MiB"))
        else:
            self._go_on(session)

    def begin_outage(self, seconds: float) -> None:
        """Fail all calls for ``seconds``. Open ones are rolled back, or their answers are lost."""
        self.state.begin_outage(seconds)
        for session in list(self._open):
            self._fail(session, StoreUnavailable("the store: connection lost"))

    def is_undisturbed(self) -> bool:
        """Whether the store answers, accepts waiters for locks, and has no locks held by a client
        that is silent or halted."""
        return self.state.is_undisturbed(self._resources.is_blocked())

    def queue_length(self) -> int:
        """Number of waiters for the busiest lock."""
        return self._resources.most_waiting()

    def _go_on(self, session: Session, *, is_answered: bool = False) -> None:
        """Run the next statement: on the server if it belongs to the same request, or after the
        answer to that has reached the client (``is_answered``: it has), which sends the next one.
        Without a next one, the call ends."""
        now, elapsed = self._virtual_clock.now, 0.0
        while True:
            statement = session.statement()
            if statement is None or statement.begins_request:
                if session.next and not is_answered:
                    elapsed += self._half_request()
                is_answered = False
                if session.fault is not None and (
                    statement is None or session.fault_at <= session.requests
                ):
                    self._virtual_clock.after(elapsed, self._begin_fault, session)
                    return
                if statement is None:
                    self._virtual_clock.after(elapsed, self._finish, session)
                    return
                session.requests += 1
                self.stats.requests += 1
                session.sent_at = now + elapsed
                elapsed += self._half_request()
                session.arrived_at = now + elapsed
            if statement.locks or statement.needs_slot or statement.insert_locks:
                self._virtual_clock.after(elapsed, self._begin_statement, session)
                return
            elapsed += statement.seconds * self._factor()
            if statement.does is not None:
                self._virtual_clock.after(elapsed, self._end_statement, session)
                return
            session.advance()
            self.stats.statements += 1

    def _begin_statement(self, session: Session) -> None:
        """Begin a statement that needs locks or a slot."""
        if not self._was_sent(session):
            return
        statement = session.statement()
        assert statement is not None
        if statement.locks and session.clock_at is None:
            session.clock_at = self._virtual_clock.now
        self._resources.acquire(session)

    def _run(self, session: Session) -> None:
        """Run the next statement, which has its locks and its slot."""
        statement = session.statement()
        assert statement is not None
        seconds = statement.seconds * self._factor()
        self._virtual_clock.after(seconds, self._end_statement, session)

    def _end_statement(self, session: Session) -> None:
        statement = session.statement()
        assert statement is not None
        if statement.needs_slot:
            self._resources.release_slot()
        if not self._was_sent(session):
            return
        session.advance()
        self.stats.statements += 1
        if statement.does is not None:
            self._do(session, statement, statement.does)
        if session.error is None:
            self._go_on(session)
        else:
            self._virtual_clock.after(self._half_request(), self._finish, session)

    def _was_sent(self, session: Session) -> bool:
        """Whether the session goes on: false if it has ended, or its client was dead or frozen
        before it sent the latest request. One that was sent is executed."""
        if session.over:
            return False
        if session.actor.silent_since < session.sent_at:
            session.requests -= 1
            self._on_client_silent(session)
            return False
        if session.aborted:
            error = "the transaction was idle for too long and has been rolled back"
            self._fail(session, StoreUnavailable(f"the store: {error}"))
            return False
        return True

    def _do(self, session: Session, statement: Statement, call: StoreCall) -> None:
        """Carry out the call of the statement that has just ended, and release the locks."""
        early = self._database.early_by = self.state.early_by(session.clock_at)
        try:
            answer = self._answer(session, call)
            if early and isinstance(answer, SyncResult):  # its time is read after the commit
                answer = replace(answer, at=self._virtual_clock.store_time())
            session.returned = answer
        except FleetQError as error:
            session.error = error
        if not statement.keeps_locks:
            self._resources.unlock(session)
        if (delay := self.state.repeats_after) is not None:
            if call.method == "put":
                self._virtual_clock.after(delay, self._store.mailbox.post, *call.args)
            elif call.method == "save_checkpoint":
                self._virtual_clock.after(delay, self._repeat, session.actor, call)
        if call.method in ("serve", "sync"):
            session.view = None  # it sees what it has committed
            session.has_committed = True
        self._report(session.actor, call, session.returned)
        self._database.early_by = 0

    def _repeat(self, actor: Actor, call: StoreCall) -> None:
        """Carry out a call again, whose answer nobody waits for."""
        with suppress(FleetQError):
            self._report(actor, call, call.on(self._store))

    def _report(self, actor: Actor, call: StoreCall, answer: Any) -> None:
        """A call has taken effect."""
        if self._stale is not None:
            self._stale.committed(actor)
        self._on_done(actor, call, answer)

    def _answer(self, session: Session, call: StoreCall) -> Any:
        """Carry out a call; a stale read of the mailbox shows only the pod's own request."""
        view = session.view
        if call.method == "result" and self._stale is not None:
            claims = self._stale.view_of_claims()
            return (
                call.on(self._store)
                if claims is None
                else EventStore(claims, INTAKE).sync(*call.args)
            )
        if view is None:
            return call.on(self._store)
        if session.is_query:
            return call.on(EventStore(view, INTAKE))
        if call.method == "look":
            return View(is_there=True, is_oldest=True, result=None)
        if call.method == "peek":
            with view.read() as tx:
                return tx.peek(call.args[0])
        return call.on(self._store)

    def _finish(self, session: Session) -> None:
        """The answer has reached the client."""
        if session.over:
            return
        self._end(session)
        actor, answer = session.actor, session.answer
        if session.error is not None:
            actor.on_error(session.error)
        elif _is_large(answer) and not self.state.has_storage(actor.name):
            error = StoreUnavailable("the store: the storage of its results does not answer")
            self._virtual_clock.after(FETCH_TIMEOUT, actor.on_error, error)
        else:
            actor.on_answer(answer)

    def _fail(self, session: Session, error: FleetQError, *, rolls_back: bool = False) -> None:
        """End the session with an error: its transaction is rolled back, or its answer is lost.
        ``rolls_back``: the client has to, by another request."""
        held, session.held = (session.held, []) if rolls_back else ([], session.held)
        self._end(session)
        if held:
            session.held = held
            self._virtual_clock.after(self.model.request, self._resources.unlock, session)
        wait = max(self._half_request(), self.model.begin)
        self._virtual_clock.after(wait, session.actor.on_error, error)

    def _fail_and_roll_back(self, session: Session, error: StoreUnavailable) -> None:
        if session.has_committed and isinstance(error, StoreContended):
            error = StoreUnavailable(str(error))  # it does not say that nothing was done
        self._fail(session, error, rolls_back=not session.is_in_procedure)

    def _end(self, session: Session) -> None:
        session.over = True
        del self._open[session]
        self._resources.leave(session)

    def _discard(self, session: Session) -> None:
        if not session.over:
            self._end(session)

    def _on_client_silent(self, session: Session) -> None:
        """Handle a client that is dead or frozen, and has not sent its next request."""
        actor = session.actor
        if actor.alive:
            self._virtual_clock.at(actor.frozen_until, self._resume, session)
            if session.held and self.model.idle_abort < math.inf:
                self._virtual_clock.after(self.model.idle_abort, self._abort, session, session.next)
        elif session.held and self.model.outlives_client:
            self._virtual_clock.after(self.model.idle_abort, self._discard, session)
        else:
            self._discard(session)

    def _resume(self, session: Session) -> None:
        """The client goes on after it was frozen, or held up by a fault."""
        if session.over:
            return
        if session.actor.is_silent:
            self._on_client_silent(session)
        else:
            self._go_on(session, is_answered=True)

    def _abort(self, session: Session, at_statement: int) -> None:
        if not session.over and session.held and session.next == at_statement:
            session.aborted = True
            self._resources.unlock(session)

    def _begin_fault(self, session: Session) -> None:
        fault, session.fault = session.fault, None
        assert fault is not None
        session.halted = True
        self._virtual_clock.after(fault.seconds, self._end_fault, session, fault)

    def _end_fault(self, session: Session, fault: TransactionFault) -> None:
        session.halted = False
        self.state.begin_contention(fault.contended)
        if session.over:
            return
        match fault.then:
            case "goes on":
                self._resume(session)
            case "dies":
                self._on_death(session.actor, fault.back_after)
                self._resume(session)
            case _:
                self._fail_and_roll_back(session, _error(fault.then))

    def _half_request(self) -> float:
        return self.model.request / 2 * self._factor() if self.model.request else 0.0

    def _factor(self) -> float:
        """A random factor for the duration of a statement, taken from a table drawn beforehand."""
        return self._factors[int(self._chance.random() * len(self._factors))]


def _is_large(answer: Any) -> bool:
    return isinstance(answer, SyncResult) and len(answer.claimed) >= LARGE_RESULT


def _error(then: str) -> StoreUnavailable:
    if then in ERRORS:
        return StoreUnavailable(f"the store: {ERRORS[then]}")
    return UnknownStoreError("the store: 999999 (XX000): an error that nobody has heard of")
