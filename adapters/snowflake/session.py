"""A session with Snowflake: statements and calls of procedures."""

from __future__ import annotations

import atexit
import os
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error

from fleet_q.adapters import fork
from fleet_q.adapters.snowflake.deadline import within
from fleet_q.adapters.snowflake.errors import (
    Failure,
    is_lost,
    is_temporary,
    is_unanswered,
    translated,
)
from fleet_q.adapters.snowflake.parameters import SignIn
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.core.errors import StoreError

STREAMED_ROWS: Final = 10_000
"""Rows that are fetched at a time."""

CAN_BE_FORKED: Final = int(snowflake.connector.__version__.split(".")[0]) < 5
"""Whether a child can sign in if its parent had signed in before the fork. From 5.0 on the
connector runs threads of its compiled core, which a fork does not copy, so a call would hang."""

_has_signed_in = False
_cannot_sign_in = False

Rows = list[tuple[Any, ...]]


def new_change_id() -> str:
    """A new id for a call that writes. Rows and events that it writes carry it."""
    return uuid.uuid4().hex


def show(connection: SnowflakeConnection, text: str) -> list[dict[str, Any]]:
    """The rows of a SHOW statement as dicts, since the order of its columns may change. Raises the
    connector's errors."""
    cursor = connection.cursor()
    cursor.execute(text)
    columns = [column[0] for column in cursor.description]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


class Session:
    """A session that is opened when it is first used, and reopened after it was lost.

    ``connection`` are the parameters of the connector's ``connect``. Any thread may use it, one
    call at a time. ``errors`` counts the temporary errors by their number. The rows of a result
    must arrive within ``fetch_timeout`` seconds, if it is given, except those that are streamed.
    """

    def __init__(
        self,
        connection: Mapping[str, Any],
        statements: Statements,
        fetch_timeout: float | None = None,
    ) -> None:
        self.errors: Counter[int] = Counter()
        self.statements = statements
        self._fetch_timeout = fetch_timeout
        self._sign_in = SignIn(connection)
        self._connection: SnowflakeConnection | None = None
        self._fork_lock = fork.ForkLock()
        self._forks = 0
        fork.register(self)

    def query(self, name: str, **values: Any) -> Rows:
        """The rows of one statement, in a transaction of its own."""
        with self._fork_lock.lock, self._translated():
            return self._run(name, values)

    def call(self, name: str, **values: Any) -> Rows:
        """Call a procedure and return its rows. If there is no answer, close the session, which
        cancels what still runs in it (documentation of ABORT_DETACHED_QUERY)."""
        text, bound = self.statements.call(name, values)
        with self._fork_lock.lock, self._translated():
            try:
                return self._fetch(text, bound)
            except (Error, OSError) as error:
                if is_unanswered(error):
                    self.close()
                raise

    def stream(self, name: str, **values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of one statement, fetched a part at a time."""
        text, bound = self.statements.bind(name, values)
        forks = self._forks
        with self._fork_lock.lock, self._translated():
            cursor = self._open().cursor()
            cursor.execute(text, bound)
        while True:
            with self._fork_lock.lock, self._translated():
                self._check_not_forked(forks)
                rows = cursor.fetchmany(STREAMED_ROWS)
            if not rows:
                return
            yield from rows

    def execute(self, text: str) -> Rows:
        """The rows of a statement given as text, for migrations and the doctor."""
        with self._fork_lock.lock, self._translated():
            return self._fetch(text, ())

    def show(self, name: str, **names: str) -> list[dict[str, Any]]:
        """The rows of a SHOW statement as dicts. ``names`` replace its placeholders; they must be
        quoted."""
        return self.show_text(self.statements.text(name, **names))

    def show_text(self, text: str) -> list[dict[str, Any]]:
        """The rows of a SHOW statement given as text."""
        with self._fork_lock.lock, self._translated():
            return show(self._open(), text)

    def close(self) -> None:
        """End the session."""
        with self._fork_lock.lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(Error, OSError):
                    connection.close()

    def before_fork(self, until: float) -> None:
        """See :class:`fleet_q.adapters.fork.Forkable`."""
        self._fork_lock.before_fork(until)

    def after_fork(self, in_child: bool) -> None:
        """Drop the connection in a child, which signs in again when needed. It is never closed
        there, not even at exit, since that would end the parent's session."""
        if in_child:
            self._forks += 1
            connection, self._connection = self._connection, None
            if connection is not None:
                atexit.unregister(connection._close_at_exit)
                fork.keep_forever(connection)
        self._fork_lock.after_fork(in_child)

    def _check_not_forked(self, forks: int) -> None:
        if self._forks != forks:
            raise StoreError(
                "Snowflake: the process was forked during this call; start the call again"
            )

    def _run(self, name: str, values: Mapping[str, Any]) -> Rows:
        text, bound = self.statements.bind(name, values)
        return self._fetch(text, bound)

    def _fetch(self, text: str, bound: Sequence[Any]) -> Rows:
        cursor = self._open().cursor()
        cursor.execute(text, bound)
        if self._fetch_timeout is None:
            return cursor.fetchall()
        return within(self._fetch_timeout, cursor.fetchall)

    def _open(self) -> SnowflakeConnection:
        global _has_signed_in
        if self._connection is None:
            if _cannot_sign_in:
                raise StoreError(
                    "Snowflake: with connector 5.x a process cannot sign in if its parent had"
                    " signed in before the fork: start it with spawn, or install"
                    " 'snowflake-connector-python<5'"
                )
            _has_signed_in = not CAN_BE_FORKED
            self._connection = self._sign_in.connect()
        return self._connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (Error, OSError) as error:
            if is_temporary(error):
                self._count(error)
            if is_lost(error):
                self.close()
            raise translated(error) from error

    def _count(self, error: Failure) -> None:
        self.errors[error.errno or 0] += 1


def _forked() -> None:
    global _cannot_sign_in
    _cannot_sign_in = _has_signed_in


os.register_at_fork(after_in_child=_forked)
