"""The store as its clients meet it: statements take time, wait for locks, and go wrong.

A call is a script of statements. What it does, it does at its COMMIT, through the production store
over memory: before that nothing has happened, after it all has, whether or not anyone hears of it.
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
from fleet_q.services.simulation.scenario import STRANGER, TransactionFault
from fleet_q.services.simulation.scripts import HEARTBEAT_LOCKS, READS, script
from fleet_q.services.simulation.virtual_clock import VirtualClock


class Session:
    """A call on its way through its statements."""

    __slots__ = ("aborted", "actor", "answer", "done", "error", "held", "held_since",
                 "last_lock_at", "next", "over", "script", "sent_at", "slow", "strike",
                 "struck_at", "waits_for", "waits_since")  # fmt: skip

    def __init__(self, actor: Actor, statements: Script, now: float) -> None:
        self.actor = actor
        self.script = statements
        self.next = 0  # the statement that comes next
        self.sent_at = now  # when the one before that was sent
        self.held: list[str] = []
        self.held_since = 0.0
        self.last_lock_at = 0.0
        self.waits_for: str | None = None
        self.waits_since = 0.0
        self.strike: TransactionFault | None = None
        self.struck_at = 0  # the statement before which it strikes
        self.slow = False  # the strike holds a statement up
        self.done = 0  # what the statements up to here do has been done
        self.aborted = False  # rolled back while its client said nothing
        self.over = False
        self.answer: Any = None
        self.error: Exception | None = None


class Server:
    """The simulated store. ``told`` is called with whatever was done; ``died`` with the actor, and
    the seconds until it comes back, when a strike ends one."""

    def __init__(
        self,
        virtual_clock: VirtualClock,
        model: StoreModel,
        database: RecordingDatabase,
        chance: Random,
        *,
        told: Callable[[Actor, StoreCall, Any], object],
        died: Callable[[Actor, float | None], object],
        longest_gap: float = math.inf,
    ) -> None:
        self.model = model
        self.statements = 0
        self.calls = 0
        self.refusals = 0  # of locks that too many waited for
        self.timeouts = 0  # of locks that were waited for too long
        self.waits = array("f")  # seconds that locks were waited for, when they were
        self.disturbed_at = -math.inf  # when it was last away, or a lock kept for no good
        self.gaps: list[tuple[float, float]] = []  # longer than ``longest_gap``, without heartbeats
        self.strikes: dict[str, list[TransactionFault]] = {}
        self._virtual_clock = virtual_clock
        self._ledger = database
        self._store: Store = EventStore(database)
        self._longest_gap = longest_gap
        self._chance = chance
        self._told = told
        self._died = died
        self._away_until = 0.0
        self._crowded_until = 0.0
        self._factors = [chance.lognormvariate(0.0, model.spread) for _ in range(4_096)]
        self._open: dict[Session, None] = {}
        self._locks = LockTable[Session](model.most_waiters, self._granted)

    def perform(self, actor: Actor, call: StoreCall) -> None:
        """Begin with a call; its actor will be told."""
        if call.method in READS and self._virtual_clock.now >= self._away_until:
            self.calls += 1
            self.statements += 1
            self._virtual_clock.after(self.model.select * self._factor(), self._read, actor, call)
            return
        session = Session(actor, script(self.model, call, self._ledger), self._virtual_clock.now)
        session.slow = actor.name == STRANGER
        armed = self.strikes.get(actor.name)
        if armed and len(session.script) > 1:
            session.strike = armed.pop(0)
            session.struck_at = session.strike.statement % (len(session.script) + 1)
        self.calls += 1
        self._open[session] = None
        if self._virtual_clock.now < self._away_until:
            self._fail(session, "the store is away")
        else:
            self._proceed(session)

    def _factor(self) -> float:
        """How much longer than usual a statement takes; one of some that were drawn before."""
        return self._factors[int(self._chance.random() * len(self._factors))]

    def go_away(self, seconds: float) -> None:
        """Answer nobody for a while. Whatever is open fails: rolled back, or its answer lost."""
        self._away_until = max(self._away_until, self._virtual_clock.now + seconds)
        self._kept_all_waiting(self._virtual_clock.now, self._away_until)
        for session in list(self._open):
            self._fail(session, "the store went away")

    def is_calm(self) -> bool:
        """Whether it answers, lets its locks be waited for, and keeps none of them for a client
        that is silent or held up."""
        undisturbed = self._virtual_clock.now >= max(self._away_until, self._crowded_until)
        calm = undisturbed and not any(
            holder.slow or holder.actor.silent_since < math.inf for holder in self._locks.holders()
        )
        if not calm:
            self.disturbed_at = self._virtual_clock.now
        return calm

    def queue_length(self) -> int:
        """How many wait for the lock that most wait for."""
        return self._locks.most_waiting()

    def _read(self, actor: Actor, call: StoreCall) -> None:
        """Answer a query; it needs no locks, and there is nothing between its statements."""
        if self._virtual_clock.now < self._away_until:
            actor.refused(StoreUnavailable("the store: the store went away"))
            return
        answer = getattr(self._store, call.method)(*call.args, **call.kwargs)
        self._told(actor, call, answer)
        actor.answered(answer)

    def _proceed(self, session: Session) -> None:
        """Go through the statements up to the next moment at which anything is decided: a lock is
        asked for, trouble strikes, the commit is done, the answer is there."""
        if session.over:
            return
        if session.actor.silent_since < math.inf:
            self._fall_silent(session)
            return
        if session.aborted:
            self._fail(session, "the transaction was idle for too long and is rolled back")
            return
        self._do(session)
        if session.error is not None:
            self._finish(session)
            return
        statements, elapsed = session.script, 0.0
        while session.next < len(statements):
            statement = statements[session.next]
            struck = session.strike is not None and session.struck_at <= session.next
            unlocked = statement.locks and not all(lock in session.held for lock in statement.locks)
            if elapsed and (struck or unlocked):
                break
            if struck:
                self._strike(session)
                return
            if unlocked and not self._lock(session, statement.locks):
                return
            session.sent_at = self._virtual_clock.now + elapsed
            elapsed += statement.seconds * self._factor()
            session.next += 1
            self.statements += 1
            if statement.does is not None:
                break
        if elapsed:
            self._virtual_clock.after(elapsed, self._proceed, session)
        elif session.strike is not None:
            self._strike(session)
        else:
            self._finish(session)

    def _do(self, session: Session) -> None:
        """Do what the last statement is for, whole; the locks are free after that."""
        call = session.script[session.next - 1].does if session.next > session.done else None
        session.done = session.next
        if call is None:
            return
        try:
            session.answer = getattr(self._store, call.method)(*call.args, **call.kwargs)
        except FleetQError as error:
            session.error = error
        self._unlock(session)
        self._told(session.actor, call, session.answer)

    def _finish(self, session: Session) -> None:
        self._end(session)
        if session.error is not None:
            session.actor.refused(session.error)
        else:
            session.actor.answered(session.answer)

    def _fail(self, session: Session, why: str | StoreUnavailable) -> None:
        """Nothing has happened, or nobody hears of it."""
        self._end(session)
        error = StoreUnavailable(f"the store: {why}") if isinstance(why, str) else why
        self._virtual_clock.after(self.model.begin, session.actor.refused, error)

    def _end(self, session: Session) -> None:
        session.over = True
        del self._open[session]
        if session.waits_for is not None:
            self._locks.leave(session.waits_for, session)
            session.waits_for = None
        self._unlock(session)

    def _fall_silent(self, session: Session) -> None:
        """The client is dead or stands still. A statement that was sent before that is done."""
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
            self._virtual_clock.after(self.model.idle_abort, self._give_up, session)
        else:
            self._give_up(session)

    def _give_up(self, session: Session) -> None:
        if not session.over:
            self._end(session)

    def _abort(self, session: Session, at_statement: int) -> None:
        if not session.over and session.held and session.next == at_statement:
            session.aborted = True
            self._unlock(session)

    def _strike(self, session: Session) -> None:
        strike, session.strike = session.strike, None
        assert strike is not None
        session.slow = True
        self._virtual_clock.after(strike.seconds, self._struck, session, strike)

    def _struck(self, session: Session, strike: TransactionFault) -> None:
        session.slow = False
        self._crowded_until = max(self._crowded_until, self._virtual_clock.now + strike.contended)
        if self.model.most_waiters is not None:
            self._kept_all_waiting(self._virtual_clock.now, self._crowded_until)
        if session.over:
            return
        match strike.then:
            case "goes on":
                self._proceed(session)
            case "fails":
                self._fail(session, "a statement failed")
            case "dies":
                self._died(session.actor, strike.back_after)
                self._proceed(session)

    def _lock(self, session: Session, locks: tuple[str, ...]) -> bool:
        for lock in locks:
            if lock in session.held:
                continue
            taken = None if self._is_crowded() else self._locks.take(lock, session)
            if taken:
                self._hold(session, lock)
                continue
            if taken is None:
                self.refusals += 1
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

    def _is_crowded(self) -> bool:
        return self.model.most_waiters is not None and self._virtual_clock.now < self._crowded_until

    def _granted(self, session: Session) -> None:
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
            self._fail(session, error("the store: a lock was not to be had"))
            self._end_abandoned(lock)

    def _hold(self, session: Session, lock: str) -> None:
        if not session.held:
            session.held_since = self._virtual_clock.now
        session.last_lock_at = self._virtual_clock.now
        session.held.append(lock)

    def _end_abandoned(self, lock: str) -> None:
        """What the store's adapter does for who was refused a lock."""
        holder = self._locks.holder(lock)
        if holder is None or self._virtual_clock.now - holder.held_since <= self.model.abandoned:
            return
        if holder.actor.alive:
            self._abort(holder, holder.next)
        else:
            self._give_up(holder)

    def _unlock(self, session: Session) -> None:
        held, session.held = session.held, []
        has_all = session.actor.name == STRANGER and session.next > 1
        if held and (has_all or not HEARTBEAT_LOCKS.isdisjoint(held)):
            self._kept_all_waiting(session.last_lock_at, self._virtual_clock.now)
        for lock in held:
            self._locks.release(lock)

    def _kept_all_waiting(self, since: float, until: float) -> None:
        if until - since > self._longest_gap:
            self.gaps.append((since, until))
