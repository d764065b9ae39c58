"""The tables in Snowflake, and what a role needs to use them, as SQL. Asks for no connector."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import asdict

from fleet_q.adapters.snowflake.statements import Statements

SCHEMA_VERSION: Final = 1

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


def script(statements: Statements, kind: TableKind, place: Place) -> str:
    """All that has to be run once, with its comments, for somebody who reads before they run."""
    parts = ("use_schema", f"schema_{kind}", "grants")
    return "\n\n".join(statements.script(part, **asdict(place)) for part in parts) + "\n"


def tables(statements: Statements, kind: TableKind) -> list[str]:
    """The statements that make the tables. Whatever is there already stays as it is."""
    return statements.split(f"schema_{kind}")


def grants(statements: Statements, place: Place) -> list[str]:
    """The statements that let a role use them."""
    return statements.split("grants", **asdict(place))


def grants_by_table(statements: Statements, place: Place) -> dict[str, tuple[str, tuple[str, ...]]]:
    """For each table, the statement and the privileges that it grants."""
    found = ((each, _GRANT.match(each)) for each in grants(statements, place))
    return {match[2]: (each, tuple(match[1].split(", "))) for each, match in found if match}
