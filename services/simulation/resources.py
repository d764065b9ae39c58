"""The locks and slots that sessions wait for, with their limits."""

from __future__ import annotations

import math
from collections.abc import Callable

from fleet_q.core.errors import StoreContended, StoreUnavailable
from fleet_q.services.simulation.actor import Actor
from fleet_q.services.simulation.locks import LockTable
from fleet_q.services.simulation.models import Statement, StoreModel
from fleet_q.services.simulation.scenario import OUTSIDER
from fleet_q.services.simulation.scripts import HEARTBEAT_LOCKS
from fleet_q.services.simulation.server_stats import ServerStats
from fleet_q.services.simulation.session import Session
from fleet_q.services.simulation.slots import Slots
from fleet_q.services.simulation.store_state import StoreState
from fleet_q.services.simulation.virtual_clock import INSTANT, VirtualClock


class Resources:
    """The locks of tables and rows, and the slots of the warehouse.

    ``on_ready`` is called with a session whose next statement has what it needs; ``on_failed`` with
    one whose statement was rejected, or has waited for too long, and the error; ``on_abandoned``
    with one that has to be ended because its client is gone.
    """

    def __init__(
        self,
        virtual_clock: VirtualClock,
        model: StoreModel,
        state: StoreState,
        stats: ServerStats,
        *,
        on_ready: Callable[[Session], object],
        on_failed: Callable[[Session, StoreUnavailable], object],
        on_abandoned: Callable[[Session], object],
    ) -> None:
        self._virtual_clock = virtual_clock
        self._model = model
        self._state = state
        self._stats = stats
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._on_abandoned = on_abandoned
        self._locks = LockTable[Session](model.most_waiters, self._on_lock_granted)
        self._slots = Slots[Session](model.slots, self._on_slot_granted)

    def acquire(self, session: Session) -> None:
        """Get what its next statement needs: the locks, and then a slot."""
        if session.over:
            return
        statement = session.statement()
        assert statement is not None
        if not self._lock(session, statement):
            return
        if not statement.needs_slot or self._slots.take(session):
            self._on_ready(session)
        else:
            session.waits_for_slot = True
            self._await(session)

    def release_slot(self) -> None:
        """A statement that had a slot has ended."""
        self._slots.release()

    def unlock(self, session: Session) -> None:
        """Release its locks."""
        held, session.held = session.held, []
        if not held:
            return
        now = self._virtual_clock.now
        is_outsider = session.actor.name == OUTSIDER
        if not HEARTBEAT_LOCKS.isdisjoint(held):
            self._state.add_gap(session.last_lock_at, now)
        if not is_outsider:
            self._stats.lock_seconds += now - session.held_since
        for lock in held:
            self._locks.release(lock)

    def leave(self, session: Session) -> None:
        """Leave the queues and release the locks: the session has ended."""
        if session.waits_for is not None:
            self._locks.leave(session.waits_for, session)
            session.waits_for = None
        if session.waits_for_slot:
            self._slots.leave(session)
            session.waits_for_slot = False
        self.unlock(session)

    def is_blocked(self) -> bool:
        """Whether a client that is silent or halted holds locks."""
        return any(holder.is_blocking for holder in self._locks.holders())

    def most_waiting(self) -> int:
        """Number of waiters for the busiest lock."""
        return self._locks.most_waiting()

    def _lock(self, session: Session, statement: Statement) -> bool:
        """Take the locks of a statement. False if it waits for one, or was rejected."""
        locks = statement.locks
        if statement.insert_locks and self._state.inserts_wait:
            locks = (*locks, *statement.insert_locks)
        for lock in locks:
            if lock in session.held:
                continue
            taken = None if self._state.is_contended else self._locks.take(lock, session)
            if taken:
                self._hold(session, lock)
            elif taken is None:
                self._reject(session, lock)
                return False
            else:
                session.waits_for = lock
                if self._closes_cycle(session):
                    self._stats.deadlocks += 1
                    self._on_failed(session, StoreUnavailable("the store: deadlock"))
                else:
                    self._await(session)
                return False
        return True

    def _closes_cycle(self, session: Session) -> bool:
        """Whether the holder of the lock that it waits for waits for it, perhaps through others."""
        holder: Session | None = session
        while holder is not None and holder.waits_for is not None:
            holder = self._locks.holder(holder.waits_for)
            if holder is session:
                return True
        return False

    def _reject(self, session: Session, lock: str) -> None:
        holder = self._locks.holder(lock)
        by_fault = self._state.is_contended or (holder is not None and holder.is_blocking)
        self._stats.on_rejected(session.call.method, by_fault=by_fault)
        self._on_failed(session, StoreContended("the store: too many statements wait for a lock"))

    def _await(self, session: Session) -> None:
        """Let a statement wait for a lock or a slot, until one of its time limits."""
        now, model = self._virtual_clock.now, self._model
        session.waits_since = now
        until = session.arrived_at + model.statement_timeout
        if session.waits_for is not None:
            until = min(until, now + model.lock_timeout)
        if until < math.inf:
            self._virtual_clock.at(until, self._on_timeout, session, now)

    def _on_timeout(self, session: Session, since: float) -> None:
        if session.over or session.waits_since != since:
            return
        if session.waits_for is not None:
            self._stats.timeouts += 1
            is_lock_timeout = self._virtual_clock.now - since > self._model.lock_timeout - INSTANT
            is_contended = is_lock_timeout and self._model.most_waiters is not None
            kind = StoreContended if is_contended else StoreUnavailable
            self._on_failed(session, kind("the store: timeout while waiting for a lock"))
        elif session.waits_for_slot:
            self._stats.slot_timeouts += 1
            error = StoreUnavailable("the store: timeout while waiting for the warehouse")
            self._on_failed(session, error)

    def _on_lock_granted(self, session: Session) -> None:
        """A statement goes on without its client, unless that is the process of the store itself,
        or the statement is to be aborted then."""
        assert session.waits_for is not None
        self._stats.waits.append(self._virtual_clock.now - session.waits_since)
        self._hold(session, session.waits_for)
        session.waits_for = None
        actor, at = session.actor, self._virtual_clock.now
        if not self._model.outlives_client and actor.alive:
            at = actor.frozen_until
        elif not actor.alive and (not self._model.outlives_client or self._is_detached(actor)):
            self._on_abandoned(session)
        self._virtual_clock.at(at, self.acquire, session)

    def _is_detached(self, actor: Actor) -> bool:
        silent_for = self._virtual_clock.now - actor.silent_since
        return self._model.abort_detached and silent_for > self._model.idle_abort

    def _on_slot_granted(self, session: Session) -> None:
        session.waits_for_slot = False
        self._on_ready(session)

    def _hold(self, session: Session, lock: str) -> None:
        if not session.held:
            session.held_since = self._virtual_clock.now
        session.last_lock_at = self._virtual_clock.now
        session.held.append(lock)
