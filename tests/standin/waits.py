"""What statements wait for: time to pass, a slot of the warehouse, the lock of a table."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from . import errors
from .locks import TableLocks
from .log import Entry
from .sessions import Session


async def spend(session: Session, seconds: float) -> None:
    """Let this time pass. Raises ``SnowflakeError`` if the statement times out or is cancelled."""
    if seconds and not session.is_canceled:
        left = session.deadline - time.monotonic()
        session.sleep = asyncio.get_running_loop().create_future()
        await asyncio.wait({session.sleep}, timeout=max(min(seconds, left), 0.0))
        if seconds > left and not session.is_canceled:
            raise errors.statement_timeout(session.statement_timeout)
    if session.is_canceled:
        raise errors.canceled()


@asynccontextmanager
async def slot(session: Session, is_needed: bool) -> AsyncIterator[None]:
    """A slot of the warehouse. Raises ``SnowflakeError`` if the statement queues for too long."""
    if not is_needed:
        yield
        return
    slots = session.scene.slots_in_use
    left = session.deadline - time.monotonic()
    queued = session.queued_timeout
    timeout = min(left, queued)
    try:
        await asyncio.wait_for(slots.acquire(), None if timeout == math.inf else timeout)
    except TimeoutError:
        if queued < left:
            raise errors.queued_timeout(queued) from None
        raise errors.statement_timeout(session.statement_timeout) from None
    try:
        yield
    finally:
        slots.release()


async def lock(
    locks: TableLocks[Session],
    session: Session,
    table: str,
    entry: Entry,
    roll_back: Callable[[Session], None],
) -> None:
    """Wait for the lock of a table. A holder that has been idle for too long is rolled back. Raises
    ``SnowflakeError``."""
    if not locks.held_by(session):
        session.locked_since = 0.0
    granted = locks.ask(session, table, session.scene.waiters)
    began = time.monotonic()
    until = min(began + session.lock_timeout, session.deadline)
    try:
        while granted is not None and not granted.done():
            holder = locks.holder(table)
            assert holder is not None
            patience = min(until - time.monotonic(), holder.scene.idle_abort - holder.idle_for)
            await asyncio.wait({granted}, timeout=max(patience, 0.001))
            if granted.done():
                break
            if time.monotonic() >= until:
                locks.give_up(session)
                if until == session.deadline:
                    raise errors.statement_timeout(session.statement_timeout)
                raise errors.lock_timeout(table, session.lock_timeout)
            if holder.idle_for >= holder.scene.idle_abort:
                roll_back(holder)
        if granted is not None and granted.cancelled():
            raise errors.canceled()
    finally:
        entry.waited = time.monotonic() - began if granted is not None else 0.0
    entry.locked = time.time()
    session.locked_since = session.locked_since or time.monotonic()
    if session.transaction is not None:
        session.transaction.locked = session.transaction.locked or session.scene.now()
