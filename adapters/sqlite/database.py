"""Transactions on a SQLite file, by one connection that the threads of a process share."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from fleet_q.adapters import fork
from fleet_q.adapters.sqlite.errors import TRANSLATED, primary_code, translated, translation
from fleet_q.adapters.sqlite.files import StoreFiles, deleted
from fleet_q.adapters.sqlite.migrate import SCHEMA_VERSION, version
from fleet_q.adapters.sqlite.open import WAL_LIMIT, Opening
from fleet_q.adapters.sqlite.snapshot import Snapshot
from fleet_q.adapters.sqlite.transaction import SqliteTransaction
from fleet_q.core.errors import StoreError, StoreUnavailable
from fleet_q.core.ports import StoreTraits
from fleet_q.sql import load

WATCH_INTERVAL: Final = 0.03
"""Seconds between an idle pod's looks at the bell, which read four bytes of shared memory."""

FILE_CHECK_INTERVAL: Final = 1.0
"""Seconds between looks whether the files are still where they were, and the version the same."""

WAL_CHECK_INTERVAL: Final = 0.05
"""Seconds between looks at the file ``-wal`` after a commit: it may be gone, or too large."""

RESCUE_PATIENCE: Final = 5.0
"""Seconds to wait for others when what was committed is saved from a file that was deleted."""

_READERS_PATIENCE_MS: Final = 100
"""For which all writers wait too."""

_OTHER_TABLES: Final = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT}

_LOCK_PAUSE: Final = 0.001

_BELL: Final = load("sqlite", "change_counter")
_WRITE: Final = (load("sqlite", "begin_writing"),)
_READ: Final = (load("sqlite", "begin_reading"), load("sqlite", "begin_snapshot"))


class Begun:
    """A transaction while its block runs."""

    __slots__ = ("_database", "_statements")

    def __init__(self, database: SqliteDatabase, statements: tuple[str, ...]) -> None:
        self._database = database
        self._statements = statements

    def __enter__(self) -> SqliteTransaction:
        return self._database.begin(self._statements)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._database.end(error)


class SqliteDatabase:
    """The :class:`~fleet_q.core.ports.Database` of a SQLite store.

    Its connection is closed while the process forks, so that no child has one of its parent's: the
    locks that SQLite believes to have there are not the child's, and closing it would be no better
    (https://www.sqlite.org/howtocorrupt.html, 2.6). Either opens another one when it needs it.
    """

    def __init__(self, opening: Opening, clock: Callable[[], int]) -> None:
        opening.check()
        self.traits = StoreTraits(poll_interval=WATCH_INTERVAL)
        self.was_created = False
        self._opening = opening
        self._path = opening.path
        self._translated = translated(opening.path)
        self._files = StoreFiles(opening.path)
        self._clock = clock
        self._fork_lock = fork.ForkLock()
        self._connection: sqlite3.Connection | None = None
        self._transaction: SqliteTransaction | None = None
        self._snapshots: dict[int, Snapshot] = {}
        self._end: str | None = None  # why it cannot be used any more
        self._is_forking = False
        self._bells_before = 0
        self._next_check = 0.0
        self._next_wal_check = 0.0
        self._latest: int | None = None  # time that was read from the clock, here or by a pod
        self._is_set_back = False  # the clock was, and not all that follows is done
        with self._fork_lock.lock:
            fork.register(self)
            self._connection, self.was_created = opening.open(self._files)

    def change_counter(self) -> int:
        with self._fork_lock.lock, self._translated:
            connection = self._connection or self._open_again()
            if time.monotonic() >= self._next_check:
                self._check_files()
            row: tuple[int] = connection.execute(_BELL).fetchone()
            return self._bells_before + row[0]  # every connection has a count of its own

    def write(self) -> Begun:
        return Begun(self, _WRITE)

    def read(self) -> Begun:
        return Begun(self, _READ)

    @contextmanager
    def snapshot(self) -> Iterator[SqliteTransaction]:
        with self._translated:
            with self._fork_lock.lock:
                if self._connection is None:
                    self._open_again()
                self._next_check = 0.0  # who opens a file that is not the same may spoil it
                self._check_files()
                snapshot = Snapshot(self._opening, self._clock())
                self._snapshots[id(snapshot)] = snapshot
            try:
                yield snapshot.transaction
            finally:
                self._snapshots.pop(id(snapshot), None)
                snapshot.close()

    def close(self) -> None:
        with self._fork_lock.lock:
            connection = self._connection
            if connection is not None and self._files.lost():
                self._save()
            elif connection is not None:
                self._connection = None
                self._files.forget()
                connection.close()
            self._end = self._end or f"{self._path}: the store was closed"

    def begin(self, statements: tuple[str, ...]) -> SqliteTransaction:
        """Wait for whatever else goes on in this process, then for other processes."""
        self._fork_lock.lock.acquire()
        try:
            if time.monotonic() >= self._next_check:
                self._check_files()
            connection, at = self._begin(statements), self._clock()
            self._transaction = transaction = SqliteTransaction(connection, at)
            if self._latest is None or at < self._latest or self._is_set_back:
                self._look_at_clock(transaction, may_write=statements == _WRITE)
            self._latest = at
            return transaction
        except BaseException as error:
            self._transaction = None
            try:
                if self._connection is not None and self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            finally:
                self._fork_lock.lock.release()
            if isinstance(error, TRANSLATED):
                raise self._translation(error) from error
            raise

    def end(self, error: BaseException | None) -> None:
        """Commit, or after an error roll back."""
        connection = self._connection
        try:
            if connection is None:
                raise StoreError(self._end or "the transaction is the parent process's")
            if error is None:
                connection.execute("COMMIT")
                if self._transaction is not None and self._transaction.is_marked_by_new_clock:
                    self._is_set_back = False
                if time.monotonic() >= self._next_wal_check:
                    self._check_wal(connection)
        except TRANSLATED as refused:
            error = refused
        finally:
            self._transaction = None
            try:
                if connection is not None and self._connection and connection.in_transaction:
                    connection.execute("ROLLBACK")
            finally:
                self._fork_lock.lock.release()
        if isinstance(error, TRANSLATED):
            raise self._translation(error) from error

    def _translation(self, error: BaseException) -> StoreError:
        """A statement that fails for the tables that it finds may be one of another version."""
        try:
            if primary_code(error) in _OTHER_TABLES and self._connection is not None:
                self._check_version(self._connection)
        except sqlite3.Error:
            pass
        except StoreError as migrated:
            return migrated
        return translation(self._path, error)

    def _look_at_clock(self, transaction: SqliteTransaction, *, may_write: bool) -> None:
        if self._latest is None:
            self._latest = transaction.latest_heartbeat()
        if transaction.at < self._latest:
            self._is_set_back = True
        if self._is_set_back and may_write:
            transaction.mark_due_by_new_clock()

    def _begin(self, statements: tuple[str, ...]) -> sqlite3.Connection:
        """Take the lock that the statements ask for. SQLite's own way of waiting sleeps longer and
        longer, up to 0.1 s, so that who has just let go of the writer's lock gets it again and
        again; here all who wait look just as often."""
        until: float | None = None
        while True:
            connection = self._connection or self._open_again()
            try:
                for statement in statements:
                    connection.execute(statement)
                return connection
            except sqlite3.OperationalError as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                now = time.monotonic()
                until = until or now + self._opening.busy_timeout
                if primary_code(error) != sqlite3.SQLITE_BUSY or now > until:
                    raise
                if self._is_forking:
                    self._fork_lock.lock.release()
                    time.sleep(_LOCK_PAUSE)
                    self._fork_lock.lock.acquire()
                else:
                    time.sleep(_LOCK_PAUSE)

    def _open_again(self) -> sqlite3.Connection:
        if self._end is not None:
            raise StoreError(self._end)
        connection = self._opening.reopen(self._files)
        self._bells_before += 1 << 32
        self._connection = connection
        return connection

    # The files

    def _check_files(self) -> None:
        now = time.monotonic()
        if self._connection is None:
            return
        self._files.check_main()
        if self._files.is_main_emptied():
            self._save()
            raise StoreError(self._end)
        self._check_wal(self._connection)
        self._check_version(self._connection)
        self._next_check = now + FILE_CHECK_INTERVAL

    def _check_version(self, connection: sqlite3.Connection) -> None:
        found = version(connection)
        if found != SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} was migrated to schema version {found} while it was in use, and this"
                f" FLEET-Q knows {SCHEMA_VERSION}; upgrade fleet-q and start again"
            )

    def _check_wal(self, connection: sqlite3.Connection) -> None:
        """What is committed to a deleted ``-wal`` is lost to all who do not have it open; so who
        sees that saves it and ends. One that is too large is emptied."""
        now = time.monotonic()
        self._next_wal_check = now + WAL_CHECK_INTERVAL
        size = self._files.wal_size()
        if (size is None or now >= self._next_check) and self._files.lost():
            self._save()
            raise StoreError(self._end)
        if size and self._files.is_wal_overwritten():
            fork.keep_forever(connection)  # closing it would copy what is no page into the file
            self._connection = None
            self._end = (
                f"{self._path}-wal was overwritten while it was in use, and what was committed"
                f" lately is lost; start again, and check {self._path} with PRAGMA integrity_check"
            )
            raise StoreError(self._end)
        if size is not None and size > WAL_LIMIT:
            self._shrink_wal(connection)

    def _shrink_wal(self, connection: sqlite3.Connection) -> None:
        """SQLite itself empties the file only when a writer happens to find no reader and all
        copied, which under unbroken load it never does."""
        run = connection.execute
        with suppress(sqlite3.Error):  # the transaction is committed, whatever happens here
            _, pages, copied = run("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if copied < pages * 3 // 4:
                return  # somebody has been reading for long, and would be waited for in vain
            try:
                run(f"PRAGMA busy_timeout = {_READERS_PATIENCE_MS}")
                run("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                run("PRAGMA busy_timeout = 0")

    def _save(self) -> None:
        """Bring what is committed into the file itself, through the descriptors that are still
        open, and end. An emptied file is left as it is, for the WAL has not all pages. If others
        have begun anew, their pages and these would not fit together, and a copy is made instead.
        Raises :class:`StoreUnavailable` if it has to be tried again."""
        connection = self._connection
        assert connection is not None
        told = deleted(self._files.lost() or self._path)
        try:
            if self._files.is_main_emptied():
                fork.keep_forever(connection)  # closing it would write some pages into the file
                self._end = (
                    f"{self._path} was emptied while it was in use; restore it from a backup, or"
                    " delete it and start again without it"
                )
            elif self._files.can_be_completed():
                _copy_all(connection)
                connection.close()
                self._files.forget()
                self._end = f"{told}; all that was committed is saved in {self._path}: start again"
            else:
                copy = _copy_beside(connection, self._path)
                fork.keep_forever(connection)  # closing it would delete the others' file
                self._end = f"{told}, and others have begun a new one; this process's is in {copy}"
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"{told}, and cannot be saved: {error}") from error
        self._connection = None

    # Forks

    def before_fork(self, until: float) -> None:
        """See :class:`fleet_q.adapters.fork.Forkable`."""
        self._is_forking = True
        self._fork_lock.before_fork(until)
        if not self._fork_lock.is_held_by_fork:
            return
        for snapshot in list(self._snapshots.values()):
            snapshot.before_fork(until)
        if self._connection is None or self._transaction is not None or self._files.lost():
            return
        with suppress(sqlite3.Error):
            self._connection.close()
            self._connection = None
            self._files.forget_beside()

    def after_fork(self, in_child: bool) -> None:
        """See :class:`fleet_q.adapters.fork.Forkable`."""
        self._is_forking = False
        if in_child:
            self._leave_to_the_parent()
        for snapshot in list(self._snapshots.values()):
            snapshot.after_fork(in_child)
        self._fork_lock.after_fork(in_child)

    def _leave_to_the_parent(self) -> None:
        """A connection that was in use is not the child's, and stays in SQLite's books: the child
        cannot have one of its own to this file."""
        if self._connection is None:
            return
        fork.keep_forever(self._connection)
        self._connection = None
        self._end = (
            f"{self._path} was in use by a transaction when this process was forked, and SQLite"
            " cannot be used after that; fork while the store has nothing to do"
        )
        if self._transaction is not None:
            self._transaction.refuse(self._end)


def _copy_all(connection: sqlite3.Connection) -> None:
    """Copy all that is committed into the file, and wait until it is there. Others may be doing the
    same, and SQLite does not wait for them."""
    until = time.monotonic() + RESCUE_PATIENCE
    while True:
        busy, pages, copied = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if not busy and copied == pages:
            return
        if time.monotonic() > until:
            raise sqlite3.OperationalError("other processes use it")
        time.sleep(_LOCK_PAUSE)


def _copy_beside(connection: sqlite3.Connection, path: Path) -> str:
    """Copy all that the connection sees into a new file, and return its name."""
    copy = f"{path}-saved-{os.getpid()}-{int(time.time())}"
    try:
        connection.execute("VACUUM INTO ?", [copy])
    except sqlite3.Error:
        with suppress(FileNotFoundError):
            os.unlink(copy)
        raise
    return copy
