"""Making the tables in Snowflake, statement by statement."""

from __future__ import annotations

from collections.abc import Iterator

from fleet_q.adapters.snowflake.errors import NO_PRIVILEGE, NO_SUCH_OBJECT, number, plain
from fleet_q.adapters.snowflake.schema import (
    SCHEMA_VERSION,
    Place,
    TableKind,
    grants,
    tables,
)
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import identifier, quoted
from fleet_q.core.errors import StoreError


def apply(
    session: Session, kind: TableKind | None = None, role: str | None = None
) -> Iterator[str]:
    """Make the tables, and let ``role`` use them; yield the first line of each statement when
    it is done.

    Harmless where all that is there already. ``kind``: by default that of the tables which are
    there, or standard ones. Raises :class:`StoreError` if they are of a later version or another
    kind, before anything is done.
    """
    place = _place(session, role)
    there = _there(session)
    if there is not None:
        _check(*there, kind)
    kind = kind or (there[1] if there else TableKind.STANDARD)
    todo = tables(session.statements, kind)
    if role is not None:
        todo += grants(session.statements, place)
    for statement in todo:
        head = statement.partition("\n")[0].rstrip(" (")
        try:
            session.execute(statement)
        except StoreError as error:
            raise type(error)(f"{head}: {plain(error)}{_advice(statement, error)}") from error
        yield head


def _check(version: int, found: TableKind, wanted: TableKind | None) -> None:
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the tables have schema version {version}, and this FLEET-Q knows {SCHEMA_VERSION};"
            " upgrade fleet-q"
        )
    if wanted not in (None, found):
        raise StoreError(
            f"the tables are there, as {found} ones; drop them first, or leave --table-kind out"
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


def _there(session: Session) -> tuple[int, TableKind] | None:
    try:
        rows = session.query("schema_version")
    except StoreError as error:
        if number(error) == NO_SUCH_OBJECT:
            return None
        raise
    return (int(rows[0][0]), TableKind(rows[0][1])) if rows else None


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
