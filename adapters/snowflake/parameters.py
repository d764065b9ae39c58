"""The session parameters that FLEET-Q sets when it signs in, and signing in without those that an
account does not have."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error

from fleet_q.adapters.snowflake.errors import one_line, translated
from fleet_q.adapters.snowflake.traits import LOCK_TIMEOUT
from fleet_q.core.errors import UnknownStoreError

log = logging.getLogger("fleet_q.snowflake")

QUEUE_TIMEOUT: Final = 60
"""Seconds after which Snowflake cancels a statement that waits for a slot of the warehouse. It is
as long as the connector waits for an answer, so that the statements of clients that gave up, or
died, do not fill the queue of a busy warehouse."""

STATEMENT_TIMEOUT: Final = 300
"""Seconds after which Snowflake cancels a statement. The time counts from its arrival, so it has to
be longer than the wait for a slot, the wait for a lock and the longest statement together:
:data:`QUEUE_TIMEOUT`, ``LOCK_TIMEOUT``, and three and a half minutes, for the query that reads a
large log for a rebuild. The default is two days, for which a statement that hangs would
keep its locks. Stored procedures inherit this parameter of their caller, but not that of the
hybrid tables' locks."""

SESSION_PARAMETERS: Final[Mapping[str, Any]] = {
    "STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_TIMEOUT,
    "STATEMENT_QUEUED_TIMEOUT_IN_SECONDS": QUEUE_TIMEOUT,
    # The statement of a client that was killed ends after five minutes, not when it is done.
    "ABORT_DETACHED_QUERY": True,
    "LOCK_TIMEOUT": LOCK_TIMEOUT,
    "HYBRID_TABLE_LOCK_TIMEOUT": LOCK_TIMEOUT,  # 3,600 s by default
    # Without it, reads of hybrid tables may miss what other sessions committed 100 ms ago.
    "READ_LATEST_WRITES": True,
    # Polls of the change counter need no warehouse, as long as nothing changes.
    "USE_CACHED_RESULT": True,
}
"""Sources: https://docs.snowflake.com/en/sql-reference/parameters, and for READ_LATEST_WRITES
https://docs.snowflake.com/en/user-guide/tables-hybrid-limitations. Not every account has hybrid
tables and their parameters."""


class SignIn:
    """Signs in with the connector's ``parameters`` and :data:`SESSION_PARAMETERS`, and leaves out
    those of the latter that Snowflake refuses."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = dict(parameters)
        self._optional = dict(SESSION_PARAMETERS)

    def connect(self) -> SnowflakeConnection:
        """A new session. Raises the connector's errors."""
        while True:
            try:
                return self._connect(self._optional)
            except Error as error:
                refused = _named_in(error, self._optional)
                if not refused:
                    return self._without_any(error)
                self._leave_out(refused, error)

    def _without_any(self, error: Error) -> SnowflakeConnection:
        """Sign in without optional parameters, as one of them may be the cause of an unknown error
        that does not name it."""
        if not self._optional or not isinstance(translated(error), UnknownStoreError):
            raise error
        connection = self._connect({})
        self._leave_out(list(self._optional), error)
        return connection

    def _connect(self, optional: Mapping[str, Any]) -> SnowflakeConnection:
        given = self._parameters.get("session_parameters", {})
        return snowflake.connector.connect(
            **{**self._parameters, "session_parameters": {**optional, **given}}
        )

    def _leave_out(self, names: list[str], error: Error) -> None:
        for name in names:
            del self._optional[name]
        log.warning(
            "signing in without the session parameter(s) %s, which the account refuses: %s",
            ", ".join(names),
            one_line(error),
        )


def _named_in(error: Error, names: Mapping[str, Any]) -> list[str]:
    """The names that the message of the error contains; of two that overlap, the longer one."""
    text = one_line(error).upper()
    named = []
    for name in sorted(names, key=len, reverse=True):
        if name in text:
            named.append(name)
            text = text.replace(name, "")
    return named
