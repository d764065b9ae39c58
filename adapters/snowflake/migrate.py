"""Creates tables and procedures in Snowflake and migrates them to the schema version of this
FLEET-Q."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from fleet_q.adapters.snowflake.errors import NO_PRIVILEGE, NO_SUCH_OBJECT, number, plain
from fleet_q.adapters.snowflake.procedures import Procedure
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
    """Apply the migrations that the tables do not have yet, create the procedures that are missing
    or outdated, and grant ``role`` its privileges; yield the first line of each statement after it
    ran.

    Statements that define tables commit by themselves, so they can be repeated, and a migration's
    version is written last: after an interruption the store still has the version before, and
    another call completes the migration. ``kind`` is by default that of the existing tables, or
    standard. Raises :class:`StoreError`, before any change, if the tables have a later version or
    another kind.
    """
    place = _place(session, role)
    current = applied(session)
    if current is not None:
        _check(*current, kind, known[-1].version)
    version, kind = current or (0, kind or TableKind.STANDARD)
    for migration in known:
        if migration.version > version:
            parts = steps(session.statements, migration, kind)
            for statement in parts.definitions:
                _execute(session, statement)
                yield _first_line(statement)
            yield from _change(session, migration, parts.changes)
    if known[-1].version == SCHEMA_VERSION:
        yield from _create_procedures(session)
    if role is not None:
        for statement in grants(session.statements, place):
            _execute(session, statement)
            yield _first_line(statement)


def missing_procedures(session: Session) -> list[Procedure]:
    """The procedures of this FLEET-Q that do not exist, are outdated, or that the role may not
    call."""
    shown = {quoted(row["name"]): row["description"] for row in session.show("show_procedures")}
    procedures = session.statements.procedures.values()
    return [p for p in procedures if p.comment not in (shown.get(p.name) or "")]


def applied(session: Session) -> tuple[int, TableKind] | None:
    """The version and kind of the tables; ``None`` if their creation has not completed."""
    try:
        rows = session.query("schema_version")
    except StoreError as error:
        if number(error) == NO_SUCH_OBJECT:
            return None
        raise
    return (int(rows[0][0]), TableKind(rows[0][1])) if rows else None


def check_version(version: int | None) -> None:
    """Raise :class:`StoreError` unless this FLEET-Q can use tables of this version. ``None`` and 0:
    their creation was interrupted."""
    if not version:
        raise StoreError(
            "Snowflake: creating the tables was interrupted; run fleet-q schema --apply again"
        )
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"Snowflake: the tables have schema version {version}, and this FLEET-Q needs"
            f" {SCHEMA_VERSION}; run fleet-q schema --apply"
        )
    _check_not_newer(version, SCHEMA_VERSION)


def _check(version: int, kind: TableKind, wanted: TableKind | None, known: int) -> None:
    _check_not_newer(version, known)
    if wanted not in (None, kind):
        raise StoreError(
            f"the tables exist and are {kind} tables, not {wanted} ones; drop them first, or omit"
            " --table-kind"
        )


def _check_not_newer(version: int, known: int) -> None:
    if version > known:
        raise StoreError(
            f"Snowflake: the tables have schema version {version}, and this FLEET-Q knows {known};"
            " upgrade fleet-q"
        )


def _place(session: Session, role: str | None) -> Place:
    _, _, _, warehouse, database, schema = session.query("signed_in")[0]
    for what, name in (("warehouse", warehouse), ("database", database), ("schema", schema)):
        if not name:
            raise StoreError(
                f"Snowflake: the session has no {what}; set SNOWFLAKE_{what.upper()}, or run"
                " fleet-q doctor to see why it is not used"
            )
    return Place(quoted(warehouse), quoted(database), quoted(schema), identifier(role or ""))


def _create_procedures(session: Session) -> Iterator[str]:
    """Create procedures, and call each so that it changes nothing: Snowflake checks the statements
    of a procedure when it is called (documentation of CREATE PROCEDURE)."""
    missing = {procedure.name for procedure in missing_procedures(session)}
    for name, procedure in session.statements.procedures.items():
        if procedure.name in missing:
            _execute(session, procedure.text)
            try:
                session.call(name, **procedure.harmless_values)
            except StoreError as error:
                raise type(error)(f"{procedure.call}: {plain(error)}") from error
            yield _first_line(procedure.text)


def _change(session: Session, migration: Migration, changes: Sequence[str]) -> list[str]:
    """Run the statements that change rows, in one transaction with the version; return their first
    lines. The version is read again after the commit, as Snowflake may have ended the transaction
    because others waited for its locks."""
    session.execute("BEGIN TRANSACTION")
    try:
        first, *others = changes
        if _execute(session, first)[0][0]:  # else another process has done it
            for statement in others:
                _execute(session, statement)
        session.execute("COMMIT")
    except BaseException:
        with suppress(StoreError):
            session.execute("ROLLBACK")
        raise
    current = applied(session)
    if current is None or current[0] < migration.version:
        raise StoreUnavailable(
            f"Snowflake: the transaction of migration {migration.name} was ended before its commit;"
            " run fleet-q schema --apply again"
        )
    return [_first_line(statement) for statement in changes]


def _execute(session: Session, statement: str) -> Rows:
    try:
        return session.execute(statement)
    except StoreError as error:
        advice = _advice(statement, error)
        raise type(error)(f"{_first_line(statement)}: {plain(error)}{advice}") from error


def _first_line(statement: str) -> str:
    return statement.partition("\n")[0].rstrip(" (")


def _advice(statement: str, error: StoreError) -> str:
    if statement.startswith("CREATE HYBRID"):
        return (
            " (not every account has hybrid tables, and creating them needs its own privilege;"
            " --table-kind standard works on every account)"
        )
    if number(error) != NO_PRIVILEGE:
        return ""
    if statement.startswith("GRANT"):
        return " (grant with a role that owns the object, or has MANAGE GRANTS)"
    return " (set SNOWFLAKE_ROLE to a role that owns the schema, or may create tables in it)"
