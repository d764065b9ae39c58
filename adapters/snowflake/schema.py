"""The tables in Snowflake, and what a role needs to use them, as SQL. Asks for no connector.

What a migration has for hybrid tables alone stands in ``/*hybrid ...*/``.
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

_HYBRID: Final = re.compile(r"/\*hybrid (.*?)\*/", re.DOTALL)
_DEFINES: Final = ("CREATE ", "ALTER ", "DROP ")
_GRANT: Final = re.compile(r'GRANT (.+) ON TABLE .+\.("[^"]+") TO ROLE')


class TableKind(StrEnum):
    """What the two projections are; the logs always are standard tables."""

    STANDARD = "standard"
    HYBRID = "hybrid"


class Place(Struct, frozen=True):
    """Where the tables are and which role uses them; names as SQL writes them."""

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
    """All that makes a new store, with its comments, for somebody who reads before they run."""
    parts = [statements.script("use_schema", **asdict(place))]
    for migration in migrations(DIALECT):
        parts.append(_of_kind(statements, migration, kind))
        if migration.version > 1:
            parts.append(f"{_write_version(statements, migration)};")
    return "\n\n".join([*parts, statements.script("grants", **asdict(place))]) + "\n"


def steps(statements: Statements, migration: Migration, kind: TableKind) -> Steps:
    """What a migration does to tables of a kind. The first writes its version in a row that it
    makes; the version comes first among the changes of the others, and keeps two of them apart."""
    found = split(_of_kind(statements, migration, kind))
    changes = tuple(each for each in found if not each.startswith(_DEFINES))
    if migration.version > 1:
        changes = (_write_version(statements, migration), *changes)
    return Steps(tuple(each for each in found if each.startswith(_DEFINES)), changes)


def grants(statements: Statements, place: Place) -> list[str]:
    """The statements that let a role use them."""
    return statements.split("grants", **asdict(place))


def grants_by_table(statements: Statements, place: Place) -> dict[str, tuple[str, tuple[str, ...]]]:
    """For each table, the statement and the privileges that it grants."""
    found = ((each, _GRANT.match(each)) for each in grants(statements, place))
    return {match[2]: (each, tuple(match[1].split(", "))) for each, match in found if match}


def _of_kind(statements: Statements, migration: Migration, kind: TableKind) -> str:
    replacement = r"\1" if kind is TableKind.HYBRID else ""
    text = _HYBRID.sub(replacement, migration.text)
    return statements.named(text, table_kind=kind)


def _write_version(statements: Statements, migration: Migration) -> str:
    return statements.text("set_schema_version", version=str(migration.version))
