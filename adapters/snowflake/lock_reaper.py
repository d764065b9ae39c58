"""Ends transactions that killed pods have left open.

The transaction of a killed client keeps its locks, for which the whole fleet waits. Snowflake
aborts it after others have waited for five minutes (documentation of transactions, "Aborting
transactions"). Pods that sign in as the same user can abort it sooner.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from typing import Any, Final, Protocol

from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.traits import ABANDONED_AFTER
from fleet_q.core.errors import StoreUnavailable

log = logging.getLogger("fleet_q.snowflake")

NAME: Final = "FLEET_Q_"
"""The prefix of the names of the fleet's transactions. Others are never ended."""

SEARCH_INTERVAL: Final = 10.0
"""The least number of seconds between two searches for abandoned transactions."""


class Sql(Protocol):
    """The methods of :class:`~fleet_q.adapters.snowflake.session.Session` that are used here."""

    statements: Statements

    def query(self, name: str, **values: Any) -> list[tuple[Any, ...]]: ...
    def show(self, name: str) -> list[dict[str, Any]]: ...
    def execute(self, text: str) -> list[tuple[Any, ...]]: ...


class LockReaper:
    """Finds abandoned transactions of the fleet and aborts them."""

    def __init__(self) -> None:
        self._is_suspected = False
        self._next_search = -math.inf

    def suspect(self) -> None:
        """Record that a statement had no answer for as long as a statement may wait for a lock. On
        hybrid tables there is no other sign of a lock."""
        self._is_suspected = True

    def end_suspected(self, session: Sql) -> None:
        """End abandoned transactions if some are suspected. Raises :class:`StoreUnavailable` if
        Snowflake does not answer, so that the cause was no lock."""
        if self._is_suspected:
            self.end(session)
            self._is_suspected = False

    def end(self, session: Sql) -> None:
        """End abandoned transactions, after a lock could not be acquired. Lack of the privilege is
        only logged. Raises :class:`StoreUnavailable`."""
        now = time.monotonic()
        if now < self._next_search:
            return
        self._next_search = now + SEARCH_INTERVAL
        try:
            for transaction in _abandoned(session):
                text = session.statements.text("abort_transaction", transaction=str(transaction))
                session.execute(text)
                log.warning(
                    "aborted transaction %d, whose locks blocked the fleet; its pod was killed"
                    " or hangs",
                    transaction,
                )
        except StoreUnavailable:
            self._next_search = -math.inf
            raise
        except Exception as error:
            log.warning("cannot end the transaction that blocks the fleet: %s", error)


def _abandoned(session: Sql) -> Iterator[int]:
    """The ids of transactions that have held locks for ``ABANDONED_AFTER`` seconds.

    They are recognised by their names, since for row locks of hybrid tables Snowflake does not show
    the table. It shows such locks only after others have waited for some seconds (documentation,
    "Monitor transactions for hybrid tables").
    """
    holders = {
        int(lock["transaction"]): lock["acquired_on"] or lock["transaction_started_on"]
        for lock in session.show("show_locks")
        if lock["status"] == "HOLDING"
    }
    if not holders:
        return
    now = session.query("clock")[0][0] / 1_000_000
    for transaction in session.show("show_transactions"):
        acquired_on = holders.get(int(transaction["id"]))
        is_ours = transaction["name"].upper().startswith(NAME)
        if acquired_on is not None and is_ours and now - acquired_on.timestamp() > ABANDONED_AFTER:
            yield int(transaction["id"])
