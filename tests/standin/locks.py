"""Table locks as in Snowflake: held to the end of the transaction, granted in order of arrival.

Everything runs on one event loop, so nothing here needs a lock of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from . import errors

WAITERS: Final = 20
"""Statements that may wait for one lock; the next one fails with error 000625."""

Owner = TypeVar("Owner")


@dataclass
class _Lock(Generic[Owner]):
    holder: Owner
    waiting: deque[tuple[Owner, asyncio.Future[None]]] = field(default_factory=deque)


class TableLocks(Generic[Owner]):
    """The holders of table locks and their waiters. An owner waits for at most one table, or for
    the procedure that it has called."""

    def __init__(self) -> None:
        self._callees: dict[Owner, Owner] = {}
        self._locks: dict[str, _Lock[Owner]] = {}
        self._waits_for: dict[Owner, str] = {}

    def holder(self, table: str) -> Owner | None:
        """The owner that holds the table's lock."""
        lock = self._locks.get(table)
        return None if lock is None else lock.holder

    def held_by(self, owner: Owner) -> list[str]:
        """The tables whose locks the owner holds."""
        return [table for table, lock in self._locks.items() if lock.holder == owner]

    def all(self) -> list[tuple[str, Owner, list[Owner]]]:
        """All locked tables, each with its holder and its waiters."""
        return [
            (table, lock.holder, [waiter for waiter, _ in lock.waiting])
            for table, lock in self._locks.items()
        ]

    def ask(self, owner: Owner, table: str, limit: int = WAITERS) -> asyncio.Future[None] | None:
        """Request a lock: ``None`` if the owner has it now, else a future that is done once it has.

        Raises ``SnowflakeError`` if too many wait already, or if waiting would be a deadlock.
        """
        lock = self._locks.get(table)
        if lock is None:
            self._locks[table] = _Lock(owner)
            return None
        if lock.holder == owner:
            return None
        if len(lock.waiting) >= limit:
            raise errors.too_many_waiters(table, id(lock), limit)
        if self._would_wait_for_itself(owner, table):
            raise errors.deadlock(table)
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lock.waiting.append((owner, granted))
        self._waits_for[owner] = table
        return granted

    def begin_call(self, caller: Owner, callee: Owner) -> None:
        """Note that an owner waits for another, which runs a procedure for it."""
        self._callees[caller] = callee

    def end_call(self, caller: Owner) -> None:
        """Note that an owner does not wait for its procedure any more."""
        del self._callees[caller]

    def give_up(self, owner: Owner) -> None:
        """Stop waiting, if the owner does: its future is cancelled."""
        table = self._waits_for.pop(owner, None)
        if table is None:
            return
        lock = self._locks[table]
        for waiter in list(lock.waiting):
            if waiter[0] == owner:
                lock.waiting.remove(waiter)
                waiter[1].cancel()

    def release(self, owner: Owner) -> None:
        """Release the locks of the owner and grant each to the first waiter."""
        for table in self.held_by(owner):
            lock = self._locks[table]
            if lock.waiting:
                lock.holder, granted = lock.waiting.popleft()
                del self._waits_for[lock.holder]
                granted.set_result(None)
            else:
                del self._locks[table]

    def _would_wait_for_itself(self, owner: Owner, table: str) -> bool:
        while True:
            holder = self._locks[table].holder
            holder = self._callees.get(holder, holder)
            if holder == owner:
                return True
            if holder not in self._waits_for:
                return False
            table = self._waits_for[holder]
