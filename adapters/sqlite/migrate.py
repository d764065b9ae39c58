"""Migrates a SQLite file to the schema version of this FLEET-Q."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from fleet_q.adapters.sqlite.errors import primary_code, translated
from fleet_q.core.errors import StoreError, StoreUnavailable
from fleet_q.sql import Migration, load, migrations, schema_version

log = logging.getLogger("fleet_q.sqlite")

APPLICATION_ID: Final = int.from_bytes(b"FLTQ")
"""Marks a file as a FLEET-Q store, in its header: https://www.sqlite.org/pragma.html."""

SCHEMA_VERSION: Final = schema_version("sqlite")

PATIENCE: Final = 300.0
"""Seconds to wait while another process migrates the file."""

_PAUSE: Final = 0.02


def migrate(
    connection: sqlite3.Connection,
    path: Path,
    pending: Sequence[Migration] = migrations("sqlite"),
    patience: float = PATIENCE,
) -> None:
    """Apply the migrations that the file does not have yet.

    Each migration is one transaction, which also writes the version, so a killed process leaves the
    file in the version before or after it. A new file gets all migrations in one transaction.
    Processes that migrate at once wait for each other; the later ones have nothing left to do.
    Raises :class:`StoreError` if the file has a later version, and :class:`StoreUnavailable` after
    waiting for ``patience`` seconds.
    """
    while True:
        _begin(connection, path, patience)
        try:
            current = version(connection)
            check_not_newer(path, current, pending[-1].version)
            todo = [migration for migration in pending if migration.version > current]
            for migration in todo if current == 0 else todo[:1]:
                for statement in statements(migration):
                    connection.execute(statement)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if current and todo:
            log.info("%s: migrated to schema version %d (%s)", path, todo[0].version, todo[0].name)
        if current == 0 or len(todo) <= 1:
            return


class FileInfo(NamedTuple):
    """What a file is: the application id and schema version in its header, and the number of
    tables, indexes, views and triggers in it."""

    application_id: int
    version: int
    objects: int

    @property
    def is_empty(self) -> bool:
        """Whether no program has used the file yet."""
        return self == (0, 0, 0)


def file_info(connection: sqlite3.Connection) -> FileInfo:
    """Read what the connection's file is."""
    return FileInfo(*connection.execute(load("sqlite", "file_identity")).fetchone())


def version(connection: sqlite3.Connection) -> int:
    """The file's schema version; 0 if it has no tables yet."""
    row: tuple[int] = connection.execute("PRAGMA user_version").fetchone()
    return row[0]


def applied(path: Path) -> int:
    """The schema version of the file, which is neither created nor migrated; 0 if there is no
    store. Raises :class:`StoreError` if the file belongs to another program."""
    if not path.exists():
        return 0
    with (
        translated(path, opening=True),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection,
    ):
        info = file_info(connection)
    check_ours(path, info)
    return info.version


def check_ours(path: Path, info: FileInfo) -> None:
    """Raise :class:`StoreError` unless the file is a store or empty."""
    if info.application_id != APPLICATION_ID and not info.is_empty:
        raise StoreError(f"{path} is another program's database; name another file")


def check_not_newer(path: Path, found: int, known: int = SCHEMA_VERSION) -> None:
    """Raise :class:`StoreError` if a later FLEET-Q has migrated the file."""
    if found > known:
        raise StoreError(
            f"{path} has schema version {found}, and this FLEET-Q knows {known}; upgrade fleet-q"
        )


def statements(migration: Migration) -> Iterator[str]:
    """A migration's statements. The last one writes the version."""
    statement = ""
    for line in migration.text.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    yield f"PRAGMA user_version = {migration.version}"


def script() -> str:
    """All migrations in one script, to create a store by hand."""
    return "\n\n".join(
        f"{migration.text}\n\nPRAGMA user_version = {migration.version};"
        for migration in migrations("sqlite")
    )


def _begin(connection: sqlite3.Connection, path: Path, patience: float) -> None:
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() > until:
                raise StoreUnavailable(
                    f"{path}: waited {patience:g} s for another process, to migrate the file to"
                    f" schema version {SCHEMA_VERSION}; try again when it is done"
                ) from error
        time.sleep(_PAUSE)
