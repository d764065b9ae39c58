"""Which schema version a store has, which this FLEET-Q works on, and what lies between."""

from __future__ import annotations

from typing import Literal

import msgspec

from fleet_q.adapters.open import described, dialect, sqlite_path
from fleet_q.adapters.sqlite import migrate as sqlite_migrate
from fleet_q.sql import migrations, schema_version


class SchemaStatus(msgspec.Struct, frozen=True):
    """``version`` is the store's, 0 if it has no tables yet, ``known`` the one that this FLEET-Q
    works on. ``pending`` names the migrations that lead from one to the other."""

    store: str
    version: int
    known: int
    status: Literal["new", "behind", "current", "ahead"]
    pending: list[str]


def look(url: str, table_prefix: str) -> SchemaStatus:
    """Ask the store, and change nothing. Raises :class:`InvalidInput` for a URL that names no store
    that lasts."""
    kind = dialect(url)
    found = (
        sqlite_migrate.applied(sqlite_path(url))
        if kind == "sqlite"
        else _snowflakes_version(url, table_prefix)
    )
    pending = [migration.name for migration in migrations(kind) if migration.version > found]
    known = schema_version(kind)
    return SchemaStatus(described(url), found, known, _status(found, known), pending)


def told(found: SchemaStatus) -> str:
    """The same in a line, with what to do."""
    pending = f"pending: {', '.join(found.pending)}"
    how = (
        "applied by fleet-q schema --apply"
        if found.store.startswith("snowflake")
        else "applied by the next pod or command that opens the file"
    )
    if found.status == "new":
        return f"{found.store}: no tables yet; {pending}; {how}"
    says = f"{found.store}: schema version {found.version}"
    if found.status == "current":
        return f"{says}, which this FLEET-Q works on; nothing is pending"
    says += f", and this FLEET-Q works on {found.known}"
    return f"{says}; upgrade fleet-q" if found.status == "ahead" else f"{says}; {pending}; {how}"


def _status(found: int, known: int) -> Literal["new", "behind", "current", "ahead"]:
    if found == 0:
        return "new"
    return "current" if found == known else "behind" if found < known else "ahead"


def _snowflakes_version(url: str, table_prefix: str) -> int:
    from fleet_q.adapters.snowflake.opening import open_snowflake  # the connector may be missing

    store = open_snowflake(url, tag="fleet-q schema", table_prefix=table_prefix)
    from fleet_q.adapters.snowflake.migrate import applied

    try:
        there = applied(store.session)
    finally:
        store.close()
    return 0 if there is None else there[0]
