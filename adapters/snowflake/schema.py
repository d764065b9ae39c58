"""The SQL that creates tables and procedures in Snowflake and grants a role its privileges.

Migrations enclose what is only for hybrid tables in ``/*hybrid ...*/``, and what is only for
standard ones in ``/*standard ...*/``. This module does not import the connector.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from fleet_q.adapters.snowflake.statements import DIALECT, Statements, split
from fleet_q.sql import Migration, migrations, schema_version

SCHEMA_VERSION: Final = schema_version(DIALECT)

_OF_KIND: Final = re.compile(r"/\*(hybrid|standard) (.*?)\*/", re.DOTALL)
_DEFINES: Final = ("CREATE ", "ALTER ", "DROP ")
_GRANT: Final = re.compile(r'GRANT .+ ON (TABLE|PROCEDURE) .+\.("[^"]+")(?:\(.*\))? TO ROLE')


class TableKind(StrEnum):
    """The kind of the tables of steps and pods. The logs are always standard tables."""

    STANDARD = "standard"
    HYBRID = "hybrid"


class Place(Struct, frozen=True):
    """Where the tables are and which role uses them; the names are quoted for SQL."""

    warehouse: str
    database: str
    schema: str
    role: str


class Steps(Struct, frozen=True):
    """The statements of one migration. Those that define tables commit by themselves and can be
    repeated; those that change rows come after them, in one transaction with the version."""

    definitions: tuple[str, ...]
    changes: tuple[str, ...]


def script(statements: Statements, kind: TableKind, place: Place) -> str:
    """The SQL that creates a new store, to be read and run by hand."""
    parts = [statements.script("use_schema", **asdict(place))]
    for migration in migrations(DIALECT):
        parts.append(_of_kind(statements, migration, kind))
        if migration.version > 1:
            parts.append(f"{_write_version(statements, migration)};")
    parts += [f"{procedure.text};" for procedure in statements.procedures.values()]
    return "\n\n".join([*parts, statements.script("grants", **asdict(place))]) + "\n"


def steps(statements: Statements, migration: Migration, kind: TableKind) -> Steps:
    """A migration's statements for tables of a kind.

    The first migration inserts the row with the version. In later ones the first change writes the
    version, which locks that row, so that two processes do not apply a migration twice.
    """
    parts = split(_of_kind(statements, migration, kind))
    changes = tuple(part for part in parts if not part.startswith(_DEFINES))
    if migration.version > 1:
        changes = (_write_version(statements, migration), *changes)
    return Steps(tuple(part for part in parts if part.startswith(_DEFINES)), changes)


def grants(statements: Statements, place: Place) -> list[str]:
    """The statements that grant a role the privileges of a pod."""
    return statements.split("grants", **asdict(place))


def grants_by_object(statements: Statements, place: Place) -> dict[str, str]:
    """For each table and procedure, by its quoted name, the GRANT statement."""
    matches = ((grant, _GRANT.match(grant)) for grant in grants(statements, place))
    return {match[2]: grant for grant, match in matches if match}


def _of_kind(statements: Statements, migration: Migration, kind: TableKind) -> str:
    text = _OF_KIND.sub(lambda part: part[2] if part[1] == kind else "", migration.text)
    return statements.named(text, table_kind=kind)


def _write_version(statements: Statements, migration: Migration) -> str:
    return statements.text("set_schema_version", version=str(migration.version))
