"""Opens a store's file: checks that it is a store, sets its modes, creates or migrates its
tables."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fleet_q.adapters.fork import is_inherited
from fleet_q.adapters.sqlite.errors import primary_code, translation
from fleet_q.adapters.sqlite.files import StoreFiles, identity
from fleet_q.adapters.sqlite.migrate import (
    SCHEMA_VERSION,
    check_not_newer,
    check_ours,
    file_info,
    migrate,
)
from fleet_q.core.errors import StoreError, StoreUnavailable
from fleet_q.sql import load, load_all

BUSY_TIMEOUT: Final = 10.0
"""Seconds to wait for another process's transaction before the store counts as unavailable."""

Durability = Literal["process", "power"]
"""What a commit survives: the kill of a process, or also a power cut."""

_PRAGMAS: Final[dict[Durability, str]] = {
    "process": "PRAGMA synchronous = NORMAL; PRAGMA fullfsync = OFF",
    # Without fullfsync, macOS does not flush the disk's cache.
    "power": "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON",
}

CACHE_KIB: Final = 32 * 1024
"""KiB of memory for pages of the file. SQLite's default of 2 MiB is too small for a queue of ten
thousand steps, which would be reread constantly."""

WAL_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of the file ``-wal`` above which it is truncated after the next commit that can do so."""

_WAL_PAUSE: Final = 0.01
OLDEST_SQLITE: Final = (3, 38, 0)  # the first with ->>


def version_fault() -> str | None:
    """Why the version of this Python's SQLite cannot be used; ``None`` if it can."""
    if sqlite3.sqlite_version_info >= OLDEST_SQLITE:
        return None
    oldest = ".".join(map(str, OLDEST_SQLITE[:2]))
    return f"{sqlite3.sqlite_version} is too old; {oldest} or later is needed"


@dataclass(frozen=True)
class Opening:
    """The options with which the file at ``path``, which is absolute, is opened. With ``create``
    false it must be a store already. ``busy_timeout`` is in seconds."""

    path: Path
    create: bool
    busy_timeout: float
    durability: Durability

    def check(self) -> None:
        """Raise :class:`StoreError` for errors that are visible without opening the file."""
        if (too_old := version_fault()) is not None:
            raise StoreError(f"SQLite {too_old}")
        try:
            load_all("sqlite")
            exists = self.path.exists()
        except OSError as error:
            raise _why_not(self.path, error) from error
        if not self.create and not exists:
            raise StoreError(
                f"there is no store at {self.path}; start a pod, submit a step, or name another"
                " store"
            )

    def open(self, files: StoreFiles) -> tuple[sqlite3.Connection, bool]:
        """A connection that is ready for use, and whether this call created the tables."""
        try:
            self._check_not_inherited()
            return self._open(files, "rwc" if self.create else "rw")
        except (sqlite3.Error, OSError) as error:
            raise _why_not(self.path, error) from error

    def reopen(self, files: StoreFiles) -> sqlite3.Connection:
        """A connection to the file that was open before a fork."""
        try:
            files.check_main()
            self._check_not_inherited()
            return self._open(files, "rw")[0]
        except sqlite3.Error as error:
            raise translation(self.path, error) from error
        except OSError as error:
            raise StoreUnavailable(f"{self.path}: {error.strerror}") from error

    def _open(
        self, files: StoreFiles, mode: Literal["rw", "rwc"]
    ) -> tuple[sqlite3.Connection, bool]:
        connection = self.connect(mode)
        try:
            files.check_main()
            files.wait_for_all(self.busy_timeout)
            is_new = self._set_up(connection)
            files.remember()
        except BaseException:
            connection.close()
            raise
        return connection, is_new

    def _check_not_inherited(self) -> None:
        main = identity(self.path)
        if main is not None and is_inherited(main):
            raise StoreError(
                f"{self.path} was open when this process was forked, and SQLite cannot be used"
                " after that; close it before the fork"
            )

    def connect(self, mode: Literal["ro", "rw", "rwc"]) -> sqlite3.Connection:
        """A connection without any PRAGMA set."""
        return sqlite3.connect(
            f"{self.path.as_uri()}?mode={mode}",
            uri=True,
            timeout=self.busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )

    def _set_up(self, connection: sqlite3.Connection) -> bool:
        run = connection.execute
        run("PRAGMA temp_store = MEMORY")  # or a full temporary folder would stop a pod
        info = file_info(connection)
        check_ours(self.path, info)
        check_not_newer(self.path, info.version)
        if info.is_empty and not self.create:
            raise StoreError(
                f"{self.path} is empty: it is not a store yet; start a pod, submit a step, or"
                " name another store"
            )
        self._use_wal(connection)
        connection.executescript(_PRAGMAS[self.durability])
        run(f"PRAGMA cache_size = -{CACHE_KIB}")
        run(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        if info.version < SCHEMA_VERSION:
            migrate(connection, self.path)
        run(load("sqlite", "begin_snapshot")).fetchone()  # opens -wal and -shm
        run("PRAGMA busy_timeout = 0")  # SqliteDatabase._begin retries itself
        return info.is_empty

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        """Switch to WAL mode, retrying: SQLite ignores the busy timeout when two processes switch a
        new file at once."""
        until = time.monotonic() + self.busy_timeout
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() > until:
                    raise
                time.sleep(_WAL_PAUSE)


def _why_not(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    """The error to raise for a file that cannot be opened. SQLite gives no reason, so the system is
    asked by opening the folder."""
    reason = error
    if primary_code(error) == sqlite3.SQLITE_CANTOPEN:
        try:
            os.close(os.open(path.parent, os.O_RDONLY))
        except OSError as folder_error:
            reason = folder_error
    if isinstance(reason, OSError) and reason.errno in (errno.EMFILE, errno.ENFILE):
        return StoreError(f"{path}: {reason.strerror}; raise the limit (ulimit -n)")
    if isinstance(error, OSError):
        return StoreError(f"{path}: {error.strerror}")
    return translation(path, error, opening=True)
