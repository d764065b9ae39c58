"""How long a lock is waited for, and what is done about one that a killed process has left behind.

A whole fleet waits for what a transaction without a client has locked. Snowflake ends it when it
has kept others waiting for five minutes (documentation of transactions, "Aborting transactions");
pods that sign in as one user need not wait so long.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from fleet_q.core.errors import FleetQError

if TYPE_CHECKING:
    from fleet_q.adapters.snowflake.session import Session

log = logging.getLogger("fleet_q.snowflake")

LOCK_TIMEOUT: Final = 30
"""Seconds after which Snowflake fails a statement that waits for a lock: before the connector gives
it up, or it would be carried out with nobody there to end its transaction."""

ABANDONED: Final = 30.0
"""Seconds after which a transaction that keeps others waiting for its locks counts as abandoned: a
pod's needs them for two or three. One that is only slow is made up for like any that was lost."""


class Abandoned:
    """Ends such transactions. It looks for some at most every ``ABANDONED`` seconds."""

    def __init__(self) -> None:
        self._next_look = -math.inf

    def end(self, session: Session) -> None:
        """Called where a lock was not to be had. It never raises: who cannot end a transaction, for
        lack of a right or of an answer, has to wait for it."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + ABANDONED
        try:
            for transaction in _abandoned(session):
                text = session.statements.text("abort_transaction", transaction=str(transaction))
                session.execute(text)
                log.warning(
                    "ended transaction %d, which kept the fleet waiting for its locks; its pod was"
                    " killed, or hangs",
                    transaction,
                )
        except FleetQError as error:
            log.warning("cannot see to what keeps the fleet waiting: %s", error)


def _abandoned(session: Session) -> Iterator[int]:
    tables = {name.strip('"') for name in session.statements.names.values()}
    locks = session.show("show_locks")
    at = session.query("clock")[0][0] / 1_000_000 if locks else 0.0
    since = {
        int(lock["transaction"]): _since(lock)
        for lock in locks
        if lock["status"] == "HOLDING" and lock["resource"].split(".")[-1].strip('"') in tables
    }
    for transaction, began in since.items():
        if at - began > ABANDONED:
            yield transaction


def _since(lock: dict[str, Any]) -> float:
    """Since when it is held, in seconds. A lock on rows is said to be held from the beginning of
    its transaction, which may have waited for it."""
    if lock["type"] == "ROW":
        return float(lock["transaction_started_on"].timestamp()) + LOCK_TIMEOUT
    return float(lock["acquired_on"].timestamp())
