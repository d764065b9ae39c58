"""The simulated store server: statements take time, wait for locks, and fail.

A call is a script of statements. It takes effect at its COMMIT, as a whole, through the production
``EventStore`` over memory, whether or not the client receives the answer.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from random import Random
from typing import Any

from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import FleetQError, StoreContended, StoreUnavailable
from fleet_q.core.event_store import EventStore
from fleet_q.core.ports import Store
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.locks import LockTable
from fleet_q.services.simulation.models import Script, StoreModel
from fleet_q.services.simulation.recording import RecordingDatabase
from fleet_q.services.simulation.scenario import OUTSIDER, TransactionFault
from fleet_q.services.simulation.scripts import HEARTBEAT_LOCKS, READS, script
from fleet_q.services.simulation.virtual_clock import VirtualClock


class Session:
    """The progress of one call through its statements."""

    __slots__ = (
        "aborted", "actor", "answer", "done", "error", "fault", "fault_at", "halted", "held",
        "held_since", "last_lock_at", "next", "over", "script", "sent_at", "waits_for",
        "waits_since",
    )  # fmt: skip

    def __init__(self, actor: Actor, statements: Script, now: float) -> None:
        self.actor = actor
        self.script = statements
        self.next = 0  # number of the next statement
        self.sent_at = now  # when the previous statement was sent
        self.held: list[str] = []
        self.held_since = 0.0
        self.last_lock_at = 0.0
        self.waits_for: str | None = None
        self.waits_since = 0.0
        self.fault: TransactionFault | None = None
        self.fault_at = 0  # the statement before which it occurs
        self.halted = False  # its client waits before the next statement
        self.done = 0  # the statements before this number have taken effect
        self.aborted = False  # rolled back while its client was silent
        self.over = False
        self.answer: Any = None
        self.error: Exception | None = None


class Server:
    """The simulated store. ``on_done`` is called with each call that took effect, and its answer;
    ``on_death`` with an actor that a fault kills, and the seconds until its restart."""

    def __init__(
        self,
        virtual_clock: VirtualClock,
        model: StoreModel,
        database: RecordingDatabase,
        chance: Random,
        *,
        on_done: Callable[[Actor, StoreCall, Any], object],
        on_death: Callable[[Actor, float | None], object],
        longest_gap: float = math.inf,
    ) -> None:
        self.model = model
        self.statements = 0
        self.calls = 0
        self.rejections = 0  # of statements, because of a full lock queue
        self.timeouts = 0  # of statements that waited for a lock
        self.waits = array("f")  # seconds waited for locks that were granted
        self.disturbed_at = -math.inf  # last time of an outage or a lock of a silent client
        self.gaps: list[tuple[float, float]] = []  # without heartbeats, longer than ``longest_gap``
        self.transaction_faults: dict[str, list[TransactionFault]] = {}
        self._virtual_clock = virtual_clock
        self._database = database
        self._store: Store = EventStore(database)
        self._longest_gap = longest_gap
        self._chance = chance
        self._on_done = on_done
        self._on_death = on_death
        self._outage_until = 0.0
        self._contended_until = 0.0
        self._factors = [chance.lognormvariate(0.0, model.time_sigma) for _ in range(4_096)]
        self._open: dict[Session, None] = {}
        self._locks = LockTable[Session](model.most_waiters, self._on_granted)

    def perform(self, actor: Actor, call: StoreCall) -> None:
        """Begin a call. Its actor is resumed with the answer or an error."""
        if call.method in READS and self._virtual_clock.now >= self._outage_until:
            self.calls += 1
            self.statements += 1
            self._virtual_clock.after(self.model.select * self._factor(), self._read, actor, call)
            return
        session = Session(actor, script(self.model, call, self._database), self._virtual_clock.now)
        session.halted = actor.name == OUTSIDER
        faults = self.transaction_faults.get(actor.name)
        if faults and len(session.script) > 1:
            session.fault = faults.pop(0)
            session.fault_at = session.fault.statement % (len(session.script) + 1)
        self.calls += 1
        self._open[session] = None
        if self._virtual_clock.now < self._outage_until:
            self._fail(session, "unavailable")
        else:
            self._proceed(session)

    def _factor(self) -> float:
        """A random factor for the duration of a statement, taken from a table drawn beforehand."""
        return self._factors[int(self._chance.random() * len(self._factors))]

    def begin_outage(self, seconds: float) -> None:
        """Fail all calls for ``seconds``. Open ones are rolled back, or their answers are lost."""
        self._outage_until = max(self._outage_until, self._virtual_clock.now + seconds)
        self._add_gap(self._virtual_clock.now, self._outage_until)
        for session in list(self._open):
            self._fail(session, "connection lost")

    def is_undisturbed(self) -> bool:
        """Whether the store answers, accepts waiters for locks, and has no locks held by a client
        that is silent or halted."""
        available = self._virtual_clock.now >= max(self._outage_until, self._contended_until)
        undisturbed = available and not any(
            holder.halted or holder.actor.silent_since < math.inf
            for holder in self._locks.holders()
        )
        if not undisturbed:
            self.disturbed_at = self._virtual_clock.now
        return undisturbed

    def queue_length(self) -> int:
        """Number of waiters for the busiest lock."""
        return self._locks.most_waiting()

    def _read(self, actor: Actor, call: StoreCall) -> None:
        """Answer a query, which needs no locks and is one statement."""
        if self._virtual_clock.now < self._outage_until:
            actor.on_error(StoreUnavailable("the store: connection lost"))
            return
        answer = call.on(self._store)
        self._on_done(actor, call, answer)
        actor.on_answer(answer)

    def _proceed(self, session: Session) -> None:
        """Execute statements up to the next one that waits for a lock, meets a fault, or takes
        effect, or to the end."""
        if session.over:
            return
        if session.actor.silent_since < math.inf:
            self._on_client_silent(session)
            return
        if session.aborted:
            self._fail(session, "the transaction was idle for too long and has been rolled back")
            return
        self._do(session)
        if session.error is not None:
            self._finish(session)
            return
        statements, elapsed = session.script, 0.0
        while session.next < len(statements):
            statement = statements[session.next]
            fault_due = session.fault is not None and session.fault_at <= session.next
            needs_lock = statement.locks and not all(
                lock in session.held for lock in statement.locks
            )
            if elapsed and (fault_due or needs_lock):
                break
            if fault_due:
                self._begin_fault(session)
                return
            if needs_lock and not self._lock(session, statement.locks):
                return
            session.sent_at = self._virtual_clock.now + elapsed
            elapsed += statement.seconds * self._factor()
            session.next += 1
            self.statements += 1
            if statement.does is not None:
                break
        if elapsed:
            self._virtual_clock.after(elapsed, self._proceed, session)
        elif session.fault is not None:
            self._begin_fault(session)
        else:
            self._finish(session)

    def _do(self, session: Session) -> None:
        """Carry out the call of the last statement, if it has one, and release the locks."""
        call = session.script[session.next - 1].does if session.next > session.done else None
        session.done = session.next
        if call is None:
            return
        try:
            session.answer = call.on(self._store)
        except FleetQError as error:
            session.error = error
        self._unlock(session)
        self._on_done(session.actor, call, session.answer)

    def _finish(self, session: Session) -> None:
        self._end(session)
        if session.error is not None:
            session.actor.on_error(session.error)
        else:
            session.actor.on_answer(session.answer)

    def _fail(self, session: Session, why: str | StoreUnavailable) -> None:
        """End the session with an error: its transaction is rolled back, or its answer is lost."""
        self._end(session)
        error = StoreUnavailable(f"the store: {why}") if isinstance(why, str) else why
        self._virtual_clock.after(self.model.begin, session.actor.on_error, error)

    def _end(self, session: Session) -> None:
        session.over = True
        del self._open[session]
        if session.waits_for is not None:
            self._locks.leave(session.waits_for, session)
            session.waits_for = None
        self._unlock(session)

    def _on_client_silent(self, session: Session) -> None:
        """Handle a client that is dead or frozen. A statement that it sent before takes effect."""
        actor = session.actor
        if actor.silent_since >= session.sent_at:
            self._do(session)
        elif session.next > session.done:
            session.next -= 1
        if actor.alive:
            self._virtual_clock.at(actor.frozen_until, self._proceed, session)
            if session.held and self.model.idle_abort < math.inf:
                self._virtual_clock.after(self.model.idle_abort, self._abort, session, session.next)
        elif session.held and self.model.outlives_client:
            self._virtual_clock.after(self.model.idle_abort, self._discard, session)
        else:
            self._discard(session)

    def _discard(self, session: Session) -> None:
        if not session.over:
            self._end(session)

    def _abort(self, session: Session, at_statement: int) -> None:
        if not session.over and session.held and session.next == at_statement:
            session.aborted = True
            self._unlock(session)

    def _begin_fault(self, session: Session) -> None:
        fault, session.fault = session.fault, None
        assert fault is not None
        session.halted = True
        self._virtual_clock.after(fault.seconds, self._end_fault, session, fault)

    def _end_fault(self, session: Session, fault: TransactionFault) -> None:
        session.halted = False
        self._contended_until = max(
            self._contended_until, self._virtual_clock.now + fault.contended
        )
        if self.model.most_waiters is not None:
            self._add_gap(self._virtual_clock.now, self._contended_until)
        if session.over:
            return
        match fault.then:
            case "goes on":
                self._proceed(session)
            case "fails":
                self._fail(session, "a statement failed")
            case "dies":
                self._on_death(session.actor, fault.back_after)
                self._proceed(session)

    def _lock(self, session: Session, locks: tuple[str, ...]) -> bool:
        for lock in locks:
            if lock in session.held:
                continue
            taken = None if self._is_contended() else self._locks.take(lock, session)
            if taken:
                self._hold(session, lock)
                continue
            if taken is None:
                self.rejections += 1
                contended = StoreContended("the store: too many statements wait for a lock")
                self._fail(session, contended)
                self._end_abandoned(lock)
                return False
            session.waits_for, session.waits_since = lock, self._virtual_clock.now
            self._virtual_clock.after(
                self.model.lock_timeout, self._timed_out, session, self._virtual_clock.now
            )
            return False
        return True

    def _is_contended(self) -> bool:
        return (
            self.model.most_waiters is not None and self._virtual_clock.now < self._contended_until
        )

    def _on_granted(self, session: Session) -> None:
        assert session.waits_for is not None
        self.waits.append(self._virtual_clock.now - session.waits_since)
        self._hold(session, session.waits_for)
        session.waits_for = None
        self._virtual_clock.at(self._virtual_clock.now, self._proceed, session)

    def _timed_out(self, session: Session, since: float) -> None:
        if session.waits_for is not None and session.waits_since == since:
            self.timeouts += 1
            lock = session.waits_for
            error = StoreUnavailable if self.model.most_waiters is None else StoreContended
            self._fail(session, error("the store: timeout while waiting for a lock"))
            self._end_abandoned(lock)

    def _hold(self, session: Session, lock: str) -> None:
        if not session.held:
            session.held_since = self._virtual_clock.now
        session.last_lock_at = self._virtual_clock.now
        session.held.append(lock)

    def _end_abandoned(self, lock: str) -> None:
        """Abort the holder of a lock if it is abandoned, as the store's adapter does after a lock
        was not granted."""
        holder = self._locks.holder(lock)
        if (
            holder is None
            or self._virtual_clock.now - holder.held_since <= self.model.abandoned_after
        ):
            return
        if holder.actor.alive:
            self._abort(holder, holder.next)
        else:
            self._discard(holder)

    def _unlock(self, session: Session) -> None:
        held, session.held = session.held, []
        is_outsider = session.actor.name == OUTSIDER and session.next > 1
        if held and (is_outsider or not HEARTBEAT_LOCKS.isdisjoint(held)):
            self._add_gap(session.last_lock_at, self._virtual_clock.now)
        for lock in held:
            self._locks.release(lock)

    def _add_gap(self, since: float, until: float) -> None:
        if until - since > self._longest_gap:
            self.gaps.append((since, until))
