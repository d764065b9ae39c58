"""What is done about a lock that a killed process has left behind.

A whole fleet waits for what a transaction without a client has locked. Snowflake ends it when it
has kept others waiting for five minutes (documentation of transactions, "Aborting transactions");
pods that sign in as one user need not wait so long.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from typing import Any, Final, Protocol

from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.traits import ABANDONED
from fleet_q.core.errors import StoreUnavailable

log = logging.getLogger("fleet_q.snowflake")

NAME: Final = "FLEET_Q_"
"""What the names of the fleet's transactions begin with, so that nobody else's is ever ended."""

LOOK_INTERVAL: Final = 10.0
"""Seconds between two looks for such transactions, at least."""


class Sql(Protocol):
    """What is needed of a :class:`~fleet_q.adapters.snowflake.session.Session`."""

    statements: Statements

    def query(self, name: str, **values: Any) -> list[tuple[Any, ...]]: ...
    def show(self, name: str) -> list[dict[str, Any]]: ...
    def execute(self, text: str) -> list[tuple[Any, ...]]: ...


class LockReaper:
    """Looks for abandoned transactions and ends them."""

    def __init__(self) -> None:
        self._is_suspected = False
        self._next_look = -math.inf

    def suspect(self) -> None:
        """A statement had no answer for as long as one may wait for a lock. On hybrid tables
        nothing else says that a lock was not to be had."""
        self._is_suspected = True

    def end_suspected(self, session: Sql) -> None:
        """End what is suspected, before the next try. Raises :class:`StoreUnavailable` if there is
        no answer again: it was not a lock."""
        if self._is_suspected:
            self.end(session)
            self._is_suspected = False

    def end(self, session: Sql) -> None:
        """Called where a lock was not to be had. Who may not end a transaction, for lack of a
        right, has to wait for it. Raises :class:`StoreUnavailable`."""
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
        except StoreUnavailable:
            self._next_look = -math.inf
            raise
        except Exception as error:
            log.warning("cannot see to what keeps the fleet waiting: %s", error)


def _abandoned(session: Sql) -> Iterator[int]:
    """By their names, since of locks on a hybrid table's rows Snowflake does not say which table it
    is; of these it shows those that have kept others waiting for some seconds (documentation,
    "Monitor transactions for hybrid tables")."""
    holders = {
        int(lock["transaction"]): lock["acquired_on"] or lock["transaction_started_on"]
        for lock in session.show("show_locks")
        if lock["status"] == "HOLDING"
    }
    if not holders:
        return
    at = session.query("clock")[0][0] / 1_000_000
    for transaction in session.show("show_transactions"):
        since = holders.get(int(transaction["id"]))
        is_ours = transaction["name"].upper().startswith(NAME)
        if since is not None and is_ours and at - since.timestamp() > ABANDONED:
            yield int(transaction["id"])
