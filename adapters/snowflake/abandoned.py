"""Transactions that a killed process has left open: what they have locked, a whole fleet waits for.

Snowflake ends such a transaction when others have waited for five minutes (documentation of
transactions, "Aborting transactions"). Pods that sign in as one user need not wait so long.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from fleet_q.core.errors import FleetQError

if TYPE_CHECKING:
    from fleet_q.adapters.snowflake.session import Session

log = logging.getLogger("fleet_q.snowflake")

ABANDONED: Final = 30.0
"""Seconds from its beginning after which a transaction that keeps others waiting counts as
abandoned. One that is only slow is made up for like any that was lost."""


class Abandoned:
    """Ends them. It looks for some at most every ``ABANDONED`` seconds."""

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
            for transaction, age in _found(session):
                text = session.statements.text("abort_transaction", transaction=str(transaction))
                session.execute(text)
                log.warning(
                    "ended transaction %d, which kept the fleet waiting for its locks for %d s; its"
                    " pod was killed, or hangs",
                    transaction,
                    age,
                )
        except FleetQError as error:
            log.warning("cannot see to what keeps the fleet waiting: %s", error)


def _found(session: Session) -> Iterator[tuple[int, float]]:
    """Ids and ages, in seconds, of those that hold locks on the fleet's tables."""
    tables = {name.strip('"') for name in session.statements.names.values()}
    locks = session.show("show_locks")
    at = session.query("clock")[0][0] / 1_000_000 if locks else 0.0
    begun = {
        int(lock["transaction"]): lock["transaction_started_on"].timestamp()
        for lock in locks
        if lock["status"] == "HOLDING" and _table(lock["resource"]) in tables
    }
    for transaction, began in begun.items():
        if at - began > ABANDONED:
            yield transaction, at - began


def _table(resource: str) -> str:
    return resource.rpartition(".")[2].strip('"')
