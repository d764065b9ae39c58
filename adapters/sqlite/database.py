"""Transactions on a SQLite file, on one connection that all threads of a process share."""

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
from fleet_q.adapters.sqlite.log_index import make_log_index
from fleet_q.adapters.sqlite.migrate import SCHEMA_VERSION, version
from fleet_q.adapters.sqlite.open import WAL_LIMIT, Opening
from fleet_q.adapters.sqlite.snapshot import Snapshot
from fleet_q.adapters.sqlite.transaction import SqliteTransaction
from fleet_q.core.errors import StoreError, StoreUnavailable
from fleet_q.core.ports import StoreTraits
from fleet_q.sql import load

POLL_INTERVAL: Final = 0.03
"""Seconds between an idle pod's reads of the change counter, each of which reads four bytes of
shared memory."""

FILE_CHECK_INTERVAL: Final = 1.0
"""Seconds between checks that the files are still at their paths and the schema version is the
same."""

WAL_CHECK_INTERVAL: Final = 0.05
"""Seconds between checks after a commit whether the file ``-wal`` was deleted or is too large."""

RESCUE_PATIENCE: Final = 5.0
"""Seconds to wait for other processes while commits are saved from a deleted file."""

_READERS_PATIENCE_MS: Final = 100
"""Milliseconds to wait for readers when ``-wal`` is truncated. All writers wait meanwhile."""

_SCHEMA_ERRORS: Final = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT}
"""What statements raise on tables of another schema version."""

_LOCK_PAUSE: Final = 0.001
"""Seconds between two attempts to take a lock."""

_CHANGE_COUNTER: Final = load("sqlite", "change_counter")
_WRITE: Final = (load("sqlite", "begin_writing"),)
_READ: Final = (load("sqlite", "begin_reading"), load("sqlite", "begin_snapshot"))


class TransactionBlock:
    """A context manager that begins a transaction and ends it."""

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

    The connection is closed before the process forks, since a child must not use or close its
    parent's connection (https://www.sqlite.org/howtocorrupt.html, 2.6). Parent and child each open
    a new one when they need it.
    """

    def __init__(self, opening: Opening, clock: Callable[[], int]) -> None:
        opening.check()
        self.traits = StoreTraits(poll_interval=POLL_INTERVAL)
        self.was_created = False
        self._opening = opening
        self._path = opening.path
        self._translated = translated(opening.path)
        self._files = StoreFiles(opening.path)
        self._clock = clock
        self._fork_lock = fork.ForkLock()
        self._connection: sqlite3.Connection | None = None
        self._transaction: SqliteTransaction | None = None
        self._snapshots: set[Snapshot] = set()
        self._unusable: str | None = None  # why the store cannot be used any more
        self._is_forking = False
        self._counter_offset = 0
        self._next_check = 0.0
        self._next_wal_check = 0.0
        self._latest: int | None = None  # the latest time read, by this store or any pod
        self._took_first = True  # whether the last claim took the first steps that wait
        self._is_set_back = (
            False  # the clock was set back, and retries still have to be marked as due
        )
        with self._fork_lock.lock:
            fork.register(self)
            self._connection, self.was_created = opening.open(self._files)

    def change_counter(self) -> int:
        with self._fork_lock.lock, self._translated:
            connection = self._connection or self._open_again()
            if time.monotonic() >= self._next_check:
                self._check_files()
            row: tuple[int] = connection.execute(_CHANGE_COUNTER).fetchone()
            return self._counter_offset + row[0]  # every connection counts from its own start

    def write(self) -> TransactionBlock:
        return TransactionBlock(self, _WRITE)

    def read(self) -> TransactionBlock:
        return TransactionBlock(self, _READ)

    @contextmanager
    def snapshot(self) -> Iterator[SqliteTransaction]:
        with self._translated:
            with self._fork_lock.lock:
                if self._connection is None:
                    self._open_again()
                self._next_check = 0.0  # opening a file that replaced this one could corrupt it
                self._check_files()
                snapshot = Snapshot(self._opening, self._clock())
                self._snapshots.add(snapshot)
            try:
                yield snapshot.transaction
            finally:
                self._snapshots.discard(snapshot)
                snapshot.close()

    def index_log(self, most_steps: int | None) -> bool:
        with self.read() as tx:
            if tx.has_log_index():
                return True
            if most_steps is not None and tx.last_place() > most_steps:
                return False
        with self._translated:
            make_log_index(self._opening)
        return True

    def close(self) -> None:
        with self._fork_lock.lock:
            connection = self._connection
            if connection is not None and self._files.lost():
                self._save()
            elif connection is not None:
                self._connection = None
                self._files.forget()
                connection.close()
            self._unusable = self._unusable or f"{self._path}: the store was closed"

    def begin(self, statements: tuple[str, ...]) -> SqliteTransaction:
        """Begin a transaction with these statements, waiting first for other threads of this
        process, then for other processes."""
        self._fork_lock.lock.acquire()
        try:
            if time.monotonic() >= self._next_check:
                self._check_files()
            connection, at = self._begin(statements), self._clock()
            self._transaction = transaction = SqliteTransaction(
                connection, at, may_write=statements == _WRITE
            )
            transaction.took_first = self._took_first
            if self._latest is None or at < self._latest or self._is_set_back:
                self._check_clock(transaction, may_write=statements == _WRITE)
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
        """Commit, or roll back after an ``error``."""
        connection = self._connection
        try:
            if connection is None:
                raise StoreError(
                    self._unusable
                    or "the transaction belongs to the parent of this process; begin a new one"
                )
            if error is None:
                connection.execute("COMMIT")
                if self._transaction is not None:
                    self._took_first = self._transaction.took_first
                    if self._transaction.is_marked_by_new_clock:
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
        """The error to raise for ``error``. If a statement failed because of the tables, and they
        were migrated meanwhile, it says so."""
        try:
            if primary_code(error) in _SCHEMA_ERRORS and self._connection is not None:
                self._check_version(self._connection)
        except sqlite3.Error:
            pass
        except StoreError as version_error:
            return version_error
        return translation(self._path, error)

    def _check_clock(self, transaction: SqliteTransaction, *, may_write: bool) -> None:
        if self._latest is None:
            self._latest = transaction.latest_heartbeat()
        if transaction.at < self._latest:
            self._is_set_back = True
        transaction.clock_was_set_back = self._is_set_back
        if self._is_set_back and may_write:
            transaction.mark_due_by_new_clock()

    def _begin(self, statements: tuple[str, ...]) -> sqlite3.Connection:
        """Run the statements that begin a transaction, retrying while the file is locked. SQLite's
        own busy handler backs off to 0.1 s, so the process that has just released the lock keeps
        getting it; a constant pause gives all processes the same chance."""
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
        if self._unusable is not None:
            raise StoreError(self._unusable)
        connection = self._opening.reopen(self._files)
        self._counter_offset += 1 << 32
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
            raise StoreError(self._unusable)
        self._check_wal(self._connection)
        self._check_version(self._connection)
        self._next_check = now + FILE_CHECK_INTERVAL

    def _check_version(self, connection: sqlite3.Connection) -> None:
        current = version(connection)
        if current != SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} was migrated to schema version {current} while it was in use, and"
                f" this FLEET-Q knows {SCHEMA_VERSION}; upgrade fleet-q and start again"
            )

    def _check_wal(self, connection: sqlite3.Connection) -> None:
        """Check ``-wal``. If it was deleted, its commits are visible only to processes that have it
        open, so they are saved and the store ends; if it is too large, it is truncated."""
        now = time.monotonic()
        self._next_wal_check = now + WAL_CHECK_INTERVAL
        size = self._files.wal_size()
        if (size is None or now >= self._next_check) and self._files.lost():
            self._save()
            raise StoreError(self._unusable)
        if size and self._files.is_wal_overwritten():
            fork.keep_forever(connection)  # closing it would write invalid pages into the file
            self._connection = None
            self._unusable = (
                f"{self._path}-wal was overwritten while it was in use, and the latest commits"
                f" are lost; start again, and check {self._path} with PRAGMA integrity_check"
            )
            raise StoreError(self._unusable)
        if size is not None and size > WAL_LIMIT:
            self._shrink_wal(connection)

    def _shrink_wal(self, connection: sqlite3.Connection) -> None:
        """Truncate ``-wal``. SQLite itself reuses its space only when a writer finds no reader and
        all pages copied, which never happens under continuous load."""
        run = connection.execute
        with suppress(sqlite3.Error):  # the transaction is committed in any case
            _, pages, copied = run("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if copied < pages * 3 // 4:
                return  # a long read is running: waiting for it would be useless
            try:
                run(f"PRAGMA busy_timeout = {_READERS_PATIENCE_MS}")
                run("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                run("PRAGMA busy_timeout = 0")

    def _save(self) -> None:
        """Save all commits after a file was deleted or emptied, and make the store unusable.

        Commits are copied into the main file through the descriptors that are still open. If other
        processes have begun new files, whose pages would be mixed with these, a copy is made beside
        it. An emptied main file is left alone, since ``-wal`` does not have all pages. Raises
        :class:`StoreUnavailable` if that fails and has to be retried."""
        connection = self._connection
        assert connection is not None
        loss = deleted(self._files.lost() or self._path)
        try:
            if self._files.is_main_emptied():
                fork.keep_forever(
                    connection
                )  # closing it would write a part of the pages into the file
                self._unusable = (
                    f"{self._path} was emptied while it was in use; restore it from a backup, or"
                    " delete it and start again without it"
                )
            elif self._files.can_be_completed():
                _copy_all(connection)
                connection.close()
                self._files.forget()
                self._unusable = f"{loss}; all commits are saved in {self._path}: start again"
            else:
                copy = _copy_beside(connection, self._path)
                fork.keep_forever(connection)  # closing it would delete the other processes' file
                self._unusable = (
                    f"{loss}, and other processes have begun a new one; this process's data is in"
                    f" {copy}"
                )
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(
                f"{loss}, and its commits cannot be saved yet: {error}"
            ) from error
        self._connection = None

    # Forks

    def before_fork(self, until: float) -> None:
        """See :class:`fleet_q.adapters.fork.Forkable`."""
        self._is_forking = True
        self._fork_lock.before_fork(until)
        if not self._fork_lock.is_held_by_fork:
            return
        for snapshot in list(self._snapshots):
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
            self._abandon_inherited_connection()
        for snapshot in list(self._snapshots):
            snapshot.after_fork(in_child)
        self._fork_lock.after_fork(in_child)

    def _abandon_inherited_connection(self) -> None:
        """Make the store unusable in a child if its connection could not be closed before the fork:
        SQLite still counts it as open, so the child cannot open another one to this file."""
        if self._connection is None:
            return
        fork.keep_forever(self._connection)
        self._connection = None
        self._unusable = (
            f"{self._path} was in use by a transaction when this process was forked, and SQLite"
            " cannot be used after that; fork while no transaction is running"
        )
        if self._transaction is not None:
            self._transaction.refuse(self._unusable)


def _copy_all(connection: sqlite3.Connection) -> None:
    """Copy all commits from ``-wal`` into the file, retrying while other processes do the same, for
    which SQLite does not wait."""
    until = time.monotonic() + RESCUE_PATIENCE
    while True:
        busy, pages, copied = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        if not busy and copied == pages:
            return
        if time.monotonic() > until:
            raise sqlite3.OperationalError("other processes are using it")
        time.sleep(_LOCK_PAUSE)


def _copy_beside(connection: sqlite3.Connection, path: Path) -> str:
    """Copy the database as the connection sees it into a new file, and return its name."""
    copy = f"{path}-saved-{os.getpid()}-{int(time.time())}"
    try:
        connection.execute("VACUUM INTO ?", [copy])
    except sqlite3.Error:
        with suppress(FileNotFoundError):
            os.unlink(copy)
        raise
    return copy
