"""One session with Snowflake: statements, transactions, and what happens when an answer is lost."""

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
from fleet_q.adapters.snowflake.errors import Failure, is_lost, is_passing, translated
from fleet_q.adapters.snowflake.lock_reaper import NAME, LockReaper
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.traits import LOCK_TIMEOUT
from fleet_q.core.errors import StoreContended, StoreError, StoreUnavailable

log = logging.getLogger("fleet_q.snowflake")

LATE: Final = 15.0
"""Seconds after which a transaction may not be taken for granted any more: Snowflake, or another
pod, ends one that keeps others waiting. Statements would go on outside of it, and COMMIT be
answered as if nothing had been."""

CAN_BE_FORKED: Final = int(snowflake.connector.__version__.split(".")[0]) < 5
"""Whether a process can sign in that was forked from one which had. From 5.0 on the connector works
in threads of its compiled core, which a fork does not copy, and a call would wait for ever."""

_has_signed_in = False
_cannot_sign_in = False

Rows = list[tuple[Any, ...]]


def new_change_id() -> str:
    """A name for a transaction, by which what it did can be looked up."""
    return uuid.uuid4().hex


class Session:
    """A session that is opened when it is first needed, and again when it was lost.

    ``connection`` are the parameters of the connector's ``connect``. Any thread may use it; calls
    take turns. ``errors`` counts what went wrong in passing, by the error's number.
    """

    def __init__(self, connection: Mapping[str, Any], statements: Statements) -> None:
        self.errors: Counter[int] = Counter()
        self.statements = statements
        self._parameters = dict(connection)
        self._lock_reaper = LockReaper()
        self._connection: SnowflakeConnection | None = None
        self._fork_lock = fork.ForkLock()
        self._forks = 0
        fork.register(self)

    def query(self, name: str, **values: Any) -> Rows:
        """The rows of one statement, in a transaction of its own."""
        with self._fork_lock.lock, self._translated():
            return self._run(name, values)

    def stream(self, name: str, size: int = 10_000, **values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement that may have very many, as they arrive."""
        text, bound = self.statements.bind(name, values)
        forks = self._forks
        with self._fork_lock.lock, self._translated():
            cursor = self._open().cursor()
            cursor.execute(text, bound)
        while True:
            with self._fork_lock.lock, self._translated():
                self._check_not_forked(forks)
                rows = cursor.fetchmany(size)
            if not rows:
                return
            yield from rows

    def execute(self, text: str) -> Rows:
        """The rows of a statement that is no file: one of a schema's, or of the doctor's."""
        with self._fork_lock.lock, self._translated():
            return self._fetch(text, ())

    def show(self, name: str) -> list[dict[str, Any]]:
        """The rows of a SHOW by their columns' names; their order changes with Snowflake."""
        with self._fork_lock.lock, self._translated():
            cursor = self._open().cursor()
            cursor.execute(self.statements.text(name))
            columns = [column[0] for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]

    def is_committed(self, change_id: str) -> bool:
        """Whether a change took place."""
        return bool(self.query("is_committed", change_id=change_id)[0][0])

    @contextmanager
    def transaction(self, change_id: str) -> Iterator[Transaction]:
        """A transaction: committed at the end of the block, rolled back if it raises.

        If the answer to the commit is lost, its change id is looked for in the logs: found, all is
        well; not found, the transaction did not take place, which is what ``StoreUnavailable``
        then says. If a lock is not to be had, it is seen to that nobody keeps it for ever.
        """
        with self._fork_lock.lock:
            began, forks = time.monotonic(), self._forks

            def run(name: str, values: Mapping[str, Any]) -> Rows:
                self._check_not_forked(forks)
                if _is_late(began) and self._run("current_transaction", {})[0][0] is None:
                    raise StoreUnavailable("Snowflake: the transaction was ended meanwhile")
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
                    if _is_late(began) and not self.is_committed(change_id):
                        raise StoreUnavailable("Snowflake: the transaction was ended meanwhile")
            except StoreContended:
                with suppress(StoreUnavailable):
                    self._lock_reaper.end(self)
                raise
            except StoreUnavailable:
                if time.monotonic() - began > LOCK_TIMEOUT:
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
        """A child signs in anew. Its parent's session is not closed there, nor when it ends: that
        would sign the parent out."""
        if in_child:
            self._forks += 1
            connection, self._connection = self._connection, None
            if connection is not None:
                atexit.unregister(connection._close_at_exit)
                fork.keep_forever(connection)
        self._fork_lock.after_fork(in_child)

    def _check_not_forked(self, forks: int) -> None:
        if self._forks != forks:
            raise StoreError("Snowflake: this began before the process was forked; begin it again")

    def _roll_back(self) -> None:
        """A transaction that could not be ended would take the next one's place, and be committed
        with it; so its session is ended instead."""
        try:
            self._send("ROLLBACK")
        except (Error, OSError):
            self.close()

    def _commit(self, change_id: str) -> None:
        try:
            self._send("COMMIT")
        except (Error, OSError) as error:
            if not is_passing(error):
                raise
            self._count(error)
            self.close()
            if not self.is_committed(change_id):
                raise StoreUnavailable(f"Snowflake: a commit was lost: {error}") from error
            log.info("the answer to a commit was lost, but it took place")

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
                    "Snowflake: a process that was forked from one which had signed in cannot do so"
                    " with the connector's 5.x line: start it by spawn, or install"
                    " 'snowflake-connector-python<5'"
                )
            _has_signed_in = not CAN_BE_FORKED
            self._connection = snowflake.connector.connect(**self._parameters)
        return self._connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (Error, OSError) as error:
            if is_passing(error):
                self._count(error)
            if is_lost(error):
                self.close()
            raise translated(error) from error

    def _count(self, error: Failure) -> None:
        self.errors[error.errno or 0] += 1


def _is_late(began: float) -> bool:
    return time.monotonic() - began > LATE


class Transaction:
    """An open transaction; what it writes carries its change id."""

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
