"""A session with Snowflake: statements, transactions, and recovery from lost answers."""

from __future__ import annotations

import atexit
import logging
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import snowflake.connector
from snowflake.connector import SnowflakeConnection
from snowflake.connector.errors import Error

from fleet_q.adapters import fork
from fleet_q.adapters.snowflake.errors import Failure, is_lost, is_temporary, translated
from fleet_q.adapters.snowflake.lock_reaper import NAME, LockReaper
from fleet_q.adapters.snowflake.parameters import SignIn
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.traits import LOCK_TIMEOUT
from fleet_q.core.errors import StoreContended, StoreError, StoreUnavailable

log = logging.getLogger("fleet_q.snowflake")

VERIFY_AFTER: Final = 15.0
"""Seconds after which a transaction is checked before each statement and after its commit.
Snowflake, or another pod, may have ended it because others wait for its locks; its statements would
then run outside of it, and COMMIT would succeed without an error."""

STREAMED_ROWS: Final = 10_000
"""Rows that are fetched at a time."""

CAN_BE_FORKED: Final = int(snowflake.connector.__version__.split(".")[0]) < 5
"""Whether a child can sign in if its parent had signed in before the fork. From 5.0 on the
connector runs threads of its compiled core, which a fork does not copy, so a call would hang."""

_has_signed_in = False
_cannot_sign_in = False

Rows = list[tuple[Any, ...]]


def new_change_id() -> str:
    """A new id for a transaction. Rows and events that it writes carry it."""
    return uuid.uuid4().hex


class Session:
    """A session that is opened when it is first used, and reopened after it was lost.

    ``connection`` are the parameters of the connector's ``connect``. Any thread may use it, one
    call at a time. ``errors`` counts the temporary errors by their number.
    """

    def __init__(self, connection: Mapping[str, Any], statements: Statements) -> None:
        self.errors: Counter[int] = Counter()
        self.statements = statements
        self._sign_in = SignIn(connection)
        self._lock_reaper = LockReaper()
        self._connection: SnowflakeConnection | None = None
        self._fork_lock = fork.ForkLock()
        self._forks = 0
        fork.register(self)

    def query(self, name: str, **values: Any) -> Rows:
        """The rows of one statement, in a transaction of its own."""
        with self._fork_lock.lock, self._translated():
            return self._run(name, values)

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

    def show(self, name: str) -> list[dict[str, Any]]:
        """The rows of a SHOW statement as dicts, since the order of its columns may change."""
        with self._fork_lock.lock, self._translated():
            cursor = self._open().cursor()
            cursor.execute(self.statements.text(name))
            columns = [column[0] for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]

    def is_committed(self, change_id: str) -> bool:
        """Whether the transaction with this change id was committed."""
        return bool(self.query("is_committed", change_id=change_id)[0][0])

    @contextmanager
    def transaction(self, change_id: str) -> Iterator[Transaction]:
        """A transaction: committed at the end of the block, rolled back if it raises.

        If the answer to the commit is lost, its change id is looked up: if it is found, the
        transaction was committed; if not, this raises ``StoreUnavailable``. If a lock cannot be
        acquired, abandoned transactions of the fleet are ended.
        """
        with self._fork_lock.lock:
            started, forks = time.monotonic(), self._forks

            def run(name: str, values: Mapping[str, Any]) -> Rows:
                self._check_not_forked(forks)
                if _needs_check(started) and self._run("current_transaction", {})[0][0] is None:
                    raise StoreUnavailable("Snowflake: the transaction was ended before its commit")
                return self._run(name, values)

            change = Transaction(change_id, run)
            try:
                self._lock_reaper.end_suspected(self)
                with self._translated():
                    self._send(self.statements.text("begin", transaction=NAME + change_id))
                    try:
                        yield change
                    except BaseException:
                        if self._forks == forks:
                            self._roll_back()
                        raise
                    self._check_not_forked(forks)
                    self._commit(change_id)
                    if _needs_check(started) and not self.is_committed(change_id):
                        raise StoreUnavailable(
                            "Snowflake: the transaction was ended before its commit"
                        )
            except StoreContended:
                with suppress(StoreUnavailable):
                    self._lock_reaper.end(self)
                raise
            except StoreUnavailable:
                if time.monotonic() - started > LOCK_TIMEOUT:
                    self._lock_reaper.suspect()
                raise

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

    def _roll_back(self) -> None:
        """Roll back, or close the session if that fails: the transaction would stay open, and the
        next one's statements would become part of it."""
        try:
            self._send("ROLLBACK")
        except (Error, OSError):
            self.close()

    def _commit(self, change_id: str) -> None:
        try:
            self._send("COMMIT")
        except (Error, OSError) as error:
            if not is_temporary(error):
                raise
            self._count(error)
            self.close()
            if not self.is_committed(change_id):
                raise StoreUnavailable(
                    f"Snowflake: a transaction was not committed: {error}"
                ) from error
            log.info("the answer to a commit was lost, but it was committed")

    def _run(self, name: str, values: Mapping[str, Any]) -> Rows:
        text, bound = self.statements.bind(name, values)
        return self._fetch(text, bound)

    def _fetch(self, text: str, bound: Sequence[Any]) -> Rows:
        cursor = self._open().cursor()
        cursor.execute(text, bound)
        return cursor.fetchall()

    def _send(self, text: str) -> None:
        self._open().cursor().execute(text)

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


def _needs_check(started: float) -> bool:
    return time.monotonic() - started > VERIFY_AFTER


class Transaction:
    """An open transaction. Rows and events that it writes carry its change id."""

    def __init__(self, change_id: str, run: Callable[[str, Mapping[str, Any]], Rows]) -> None:
        self.change_id = change_id
        self._run = run

    def run(self, name: str, **values: Any) -> Rows:
        """The rows of one statement."""
        return self._run(name, {"change_id": self.change_id, **values})


def _forked() -> None:
    global _cannot_sign_in
    _cannot_sign_in = _has_signed_in


os.register_at_fork(after_in_child=_forked)
