"""A store in one SQLite file, for any number of processes on one machine."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from fleet_q.adapters.clock import wall_clock
from fleet_q.adapters.sqlite_errors import primary_code, translated, translation
from fleet_q.adapters.sqlite_transaction import SqliteTransaction
from fleet_q.core.errors import StoreError
from fleet_q.core.ports import Manners, Turn
from fleet_q.core.step import Complete, Step, Submit
from fleet_q.core.store import EventStore
from fleet_q.sql import load, load_all

SCHEMA_VERSION: Final = 1
APPLICATION_ID: Final = int.from_bytes(b"FLTQ")
"""What marks a file as one of ours, in its header: https://www.sqlite.org/pragma.html."""

BUSY_TIMEOUT: Final = 10.0
"""Seconds to wait for another process's transaction before the store counts as unavailable."""

Durability = Literal["process", "power"]
"""What a commit survives."""

_PRAGMAS: Final[dict[Durability, str]] = {
    "process": "PRAGMA synchronous = NORMAL; PRAGMA fullfsync = OFF",
    "power": "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON",  # or macOS leaves it to the disk
}

CACHE_KIB: Final = 32 * 1024
"""Memory for pages of the file, at most: SQLite's own 2 MiB are reread all the time by a queue of
some ten thousand steps."""

WATCH_INTERVAL: Final = 0.03
"""Seconds between an idle pod's looks at the bell, which read four bytes of shared memory."""

FILE_CHECK_INTERVAL: Final = 1.0
"""Seconds between looks whether the file is still where it was."""

_WAL_PAUSE: Final = 0.01
_LOCK_PAUSE: Final = 0.001
OLDEST_SQLITE: Final = (3, 37, 0)  # the first with STRICT tables


class SqliteStore(EventStore):
    """A store in the SQLite file at ``path``, which is made unless ``create`` is false.

    Any thread may use it; calls take turns. ``clock`` gives the store's time in microseconds
    since the Unix epoch; all processes on a file share the machine's clock by default.

    The file is in WAL mode: a commit is whole or not there. What this store commits survives the
    kill of any process; with ``durability="power"`` it waits until it is on the disk, and so
    survives a power cut, which otherwise may take the last commits with it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        create: bool = True,
        clock: Callable[[], int] = wall_clock,
        busy_timeout: float = BUSY_TIMEOUT,
        durability: Durability = "process",
    ) -> None:
        super().__init__(_SqliteDatabase(Path(path), create, clock, busy_timeout, durability))

    # What happens to most steps is said to SQLite for all of them at once: a statement that works
    # on many rows leaves Python to the functions of the steps meanwhile.

    def _submit(self, tx: Any, new: Sequence[Submit], pod_id: str | None) -> list[bool]:
        if not new or not all(submit.unique for submit in new):
            return super()._submit(tx, new, pod_id)
        tx.submit(new, pod_id)
        return [True] * len(new)

    def _claim(self, tx: Any, turn: Turn) -> list[Step]:
        claimed: list[Step] = tx.claim(turn)
        return claimed

    def _acknowledge(self, tx: Any, turn: Turn) -> list[str]:
        successes = [outcome for outcome in turn.outcomes if isinstance(outcome, Complete)]
        if len({success.step_id for success in successes}) < len(turn.outcomes):
            return super()._acknowledge(tx, turn)
        late: list[str] = tx.complete(successes, turn.pod_id)
        return late


class _Begun:
    """A transaction while its block runs."""

    __slots__ = ("_database", "_statements")

    def __init__(self, database: _SqliteDatabase, statements: tuple[str, ...]) -> None:
        self._database = database
        self._statements = statements

    def __enter__(self) -> SqliteTransaction:
        return self._database.begin(self._statements)

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._database.end(error)


class _SqliteDatabase:
    def __init__(
        self,
        path: Path,
        create: bool,
        clock: Callable[[], int],
        busy_timeout: float,
        durability: Durability,
    ) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or later is needed")
        if not create and not path.exists():
            raise StoreError(
                f"there is no store at {path}; start a pod, submit a step, or name another store"
            )
        load_all("sqlite")
        self.manners = Manners(watch_interval=WATCH_INTERVAL)
        self._path = path
        self._file = path.absolute()  # also when somebody changes the current folder
        self._identity: tuple[int, int] | None = None
        self._next_check = 0.0
        self._clock = clock
        self._lock = threading.RLock()
        self._busy_timeout = busy_timeout
        with translated(path):
            self._connection = self._connect()
            try:
                self._set_up(durability)
                self._connection.execute("PRAGMA busy_timeout = 0")  # see _begin
                self._identity = self._found()
            except BaseException:
                self._connection.close()
                raise

    def bell(self) -> int:
        with self._lock, translated(self._path):
            self._check_file()
            row: tuple[int] = self._connection.execute(load("sqlite", "bell")).fetchone()
            return row[0]

    def write(self) -> _Begun:
        return _Begun(self, ("begin_writing",))

    def read(self) -> _Begun:
        return _Begun(self, ("begin_reading", "take_a_picture"))

    @contextmanager
    def snapshot(self) -> Iterator[SqliteTransaction]:
        self._check_file()
        with translated(self._path), closing(self._connect()) as connection:
            connection.execute("BEGIN")
            yield SqliteTransaction(connection, self._clock())

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def begin(self, statements: tuple[str, ...]) -> SqliteTransaction:
        """Wait for whatever else goes on in this process, then for other processes."""
        self._lock.acquire()
        try:
            self._check_file()
            self._begin(statements)
            return SqliteTransaction(self._connection, self._clock())
        except BaseException as error:
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise translation(self._path, error) from error
            raise

    def end(self, error: BaseException | None) -> None:
        """Commit, or after an error roll back."""
        try:
            if error is None:
                self._connection.execute("COMMIT")
        except sqlite3.Error as refused:
            error = refused
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._lock.release()
        if isinstance(error, sqlite3.Error):
            raise translation(self._path, error) from error

    def _begin(self, statements: tuple[str, ...]) -> None:
        """Take the lock that the statements ask for. SQLite's own way of waiting sleeps longer and
        longer, up to 0.1 s, so that who has just let go of the writer's lock gets it again and
        again; here all who wait look just as often."""
        until: float | None = None
        while True:
            try:
                for statement in statements:
                    self._connection.execute(load("sqlite", statement))
                return
            except sqlite3.OperationalError as error:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                now = time.monotonic()
                until = until or now + self._busy_timeout
                if primary_code(error) != sqlite3.SQLITE_BUSY or now > until:
                    raise
                time.sleep(_LOCK_PAUSE)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self._file,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )

    def _check_file(self) -> None:
        """A deleted file would go on taking steps that nobody else, and nobody later, can see."""
        now = time.monotonic()
        if now < self._next_check:
            return
        if self._found() != self._identity:
            raise StoreError(
                f"{self._path} was deleted, or replaced by another file, while it was in use;"
                " put it back or start again without it"
            )
        self._next_check = now + FILE_CHECK_INTERVAL

    def _found(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._file)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _set_up(self, durability: Durability) -> None:
        run = self._connection.execute
        application_id, found, tables = run(load("sqlite", "whose")).fetchone()
        is_new = (application_id, found, tables) == (0, 0, 0)
        if application_id != APPLICATION_ID and not is_new:
            raise StoreError(f"{self._path} is another program's database; name another file")
        if found > SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} has schema version {found}, and this FLEET-Q knows"
                f" {SCHEMA_VERSION}; upgrade fleet-q"
            )
        self._use_wal()
        self._connection.executescript(_PRAGMAS[durability])
        run(f"PRAGMA cache_size = -{CACHE_KIB}")
        if is_new:
            self._connection.executescript(f"BEGIN IMMEDIATE;\n{load('sqlite', 'schema')}\nCOMMIT;")

    def _use_wal(self) -> None:
        """Two processes that do this to a new file at once do not wait for each other: SQLite
        fails one of them without asking its busy timeout."""
        until = time.monotonic() + self._busy_timeout
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
                time.sleep(_WAL_PAUSE)
