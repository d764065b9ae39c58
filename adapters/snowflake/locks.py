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
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from fleet_q.adapters.snowflake.session import Session

log = logging.getLogger("fleet_q.snowflake")

LOCK_TIMEOUT: Final = 30
"""Seconds after which Snowflake fails a statement that waits for a lock: before the connector gives
it up, or it would be carried out with nobody there to end its transaction."""

ABANDONED: Final = 60.0
"""Seconds after which a transaction that holds what others are refused counts as abandoned: a pod's
needs its locks for two or three. One that is only slow finds out, and is done anew."""

LOOK_INTERVAL: Final = 10.0
"""Seconds between two looks for such transactions, at least."""


class Abandoned:
    """Ends such transactions. Only those on standard tables: of a lock on the rows of a hybrid one
    Snowflake does not say which table it is on."""

    def __init__(self) -> None:
        self._next_look = -math.inf

    def end(self, session: Session) -> None:
        """Called where a lock was not to be had. It never raises: who cannot end a transaction, for
        lack of a right or of an answer, has to wait for it."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_INTERVAL
        try:
            for transaction in _abandoned(session):
                text = session.statements.text("abort_transaction", transaction=str(transaction))
                session.execute(text)
                log.warning(
                    "ended transaction %d, which kept its locks from the fleet; its pod was killed,"
                    " or hangs",
                    transaction,
                )
        except Exception as error:
            log.warning("cannot see to what keeps the fleet waiting: %s", error)


def _abandoned(session: Session) -> Iterator[int]:
    locks = session.show("show_locks")
    *_, database, schema = session.query("signed_in")[0]
    at = session.query("clock")[0][0]
    tables = {f"{database}.{schema}.{name}" for name in session.statements.names.values()}
    tables = {name.replace('"', "") for name in tables}
    for lock in locks:
        is_ours = lock["resource"].replace('"', "") in tables and lock["status"] == "HOLDING"
        if is_ours and at / 1_000_000 - lock["acquired_on"].timestamp() > ABANDONED:
            yield int(lock["transaction"])
