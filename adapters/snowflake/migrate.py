"""Making the tables in Snowflake, and bringing them to the schema version that this FLEET-Q works
on, statement by statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from fleet_q.adapters.snowflake.errors import NO_PRIVILEGE, NO_SUCH_OBJECT, number, plain
from fleet_q.adapters.snowflake.schema import (
    SCHEMA_VERSION,
    Place,
    TableKind,
    grants,
    steps,
)
from fleet_q.adapters.snowflake.session import Rows, Session
from fleet_q.adapters.snowflake.statements import DIALECT, identifier, quoted
from fleet_q.core.errors import StoreError, StoreUnavailable
from fleet_q.sql import Migration, migrations


def migrate(
    session: Session,
    kind: TableKind | None = None,
    role: str | None = None,
    known: Sequence[Migration] = migrations(DIALECT),
) -> Iterator[str]:
    """Apply the migrations that the tables do not have yet, and let ``role`` use them; yield the
    first line of each statement when it is done.

    Definitions of tables commit by themselves, so each migration's statements can be repeated, and
    its version is written at the end: cut off anywhere, the store is still of the version before,
    and doing this again completes it. ``kind``: by default that of the tables which are there, or
    standard ones. Raises :class:`StoreError` if they are of a later version or another kind, before
    anything is done.
    """
    place = _place(session, role)
    there = applied(session)
    if there is not None:
        _check(*there, kind, known[-1].version)
    version, kind = there or (0, kind or TableKind.STANDARD)
    for migration in known:
        if migration.version > version:
            todo = steps(session.statements, migration, kind)
            for statement in todo.definitions:
                _execute(session, statement)
                yield _head(statement)
            yield from _change(session, migration, todo.changes)
    if role is not None:
        for statement in grants(session.statements, place):
            _execute(session, statement)
            yield _head(statement)


def applied(session: Session) -> tuple[int, TableKind] | None:
    """The version and kind of the tables; ``None`` if they were not made, or not to the end."""
    try:
        rows = session.query("schema_version")
    except StoreError as error:
        if number(error) == NO_SUCH_OBJECT:
            return None
        raise
    return (int(rows[0][0]), TableKind(rows[0][1])) if rows else None


def check_version(found: int | None) -> None:
    """Raise :class:`StoreError` unless tables of this version can be used."""
    if not found or found < SCHEMA_VERSION:
        what = "were not made to the end" if not found else f"have schema version {found}"
        raise StoreError(
            f"Snowflake: the tables {what}, and this FLEET-Q needs {SCHEMA_VERSION}; run fleet-q"
            " schema --apply"
        )
    _check_not_newer(found, SCHEMA_VERSION)


def _check(version: int, found: TableKind, wanted: TableKind | None, known: int) -> None:
    _check_not_newer(version, known)
    if wanted not in (None, found):
        raise StoreError(
            f"the tables are there, as {found} ones; drop them first, or leave --table-kind out"
        )


def _check_not_newer(found: int, known: int) -> None:
    if found > known:
        raise StoreError(
            f"Snowflake: the tables have schema version {found}, and this FLEET-Q knows {known};"
            " upgrade fleet-q"
        )


def _place(session: Session, role: str | None) -> Place:
    _, _, _, warehouse, database, schema = session.query("signed_in")[0]
    for what, name in (("warehouse", warehouse), ("database", database), ("schema", schema)):
        if not name:
            raise StoreError(
                f"Snowflake: the session has no {what}; set SNOWFLAKE_{what.upper()}, or ask"
                " fleet-q doctor why it does not count"
            )
    return Place(quoted(warehouse), quoted(database), quoted(schema), identifier(role or ""))


def _change(session: Session, migration: Migration, changes: Sequence[str]) -> list[str]:
    """Change rows in one transaction with the version; the statements' first lines. Snowflake may
    end a transaction that keeps others waiting, so the version is read again after the commit."""
    session.execute("BEGIN TRANSACTION")
    try:
        first, *others = changes
        if _execute(session, first)[0][0]:  # or another process was faster
            for statement in others:
                _execute(session, statement)
        session.execute("COMMIT")
    except BaseException:
        with suppress(StoreError):
            session.execute("ROLLBACK")
        raise
    there = applied(session)
    if there is None or there[0] < migration.version:
        raise StoreUnavailable(
            f"Snowflake: the transaction of migration {migration.name} was ended before its commit;"
            " run fleet-q schema --apply again"
        )
    return [_head(statement) for statement in changes]


def _execute(session: Session, statement: str) -> Rows:
    try:
        return session.execute(statement)
    except StoreError as error:
        advice = _advice(statement, error)
        raise type(error)(f"{_head(statement)}: {plain(error)}{advice}") from error


def _head(statement: str) -> str:
    return statement.partition("\n")[0].rstrip(" (")


def _advice(statement: str, error: StoreError) -> str:
    if statement.startswith("CREATE HYBRID"):
        return (
            " (not every account has hybrid tables, and making them is a privilege of its own;"
            " --table-kind standard runs everywhere)"
        )
    if number(error) != NO_PRIVILEGE:
        return ""
    if statement.startswith("GRANT"):
        return " (grant under a role that owns what is granted, or has MANAGE GRANTS)"
    return " (set SNOWFLAKE_ROLE to one that owns the schema, or may create tables in it)"
