"""Compares the schema version of a store with the one that this FLEET-Q requires."""

from __future__ import annotations

from typing import Literal

import msgspec

from fleet_q.adapters.open import described, dialect, sqlite_path
from fleet_q.adapters.sqlite import migrate as sqlite_migrate
from fleet_q.sql import migrations, schema_version


class SchemaStatus(msgspec.Struct, frozen=True):
    """The schema versions: ``version`` of the store, 0 if it has no tables, and ``known``, the one
    that this FLEET-Q requires. ``pending`` are the names of the migrations in between."""

    store: str
    version: int
    known: int
    status: Literal["new", "behind", "current", "ahead"]
    pending: list[str]


def read_status(url: str, table_prefix: str) -> SchemaStatus:
    """Read the version of the store and change nothing. Raises :class:`InvalidInput` for
    ``memory://``."""
    kind = dialect(url)
    version = (
        sqlite_migrate.applied(sqlite_path(url))
        if kind == "sqlite"
        else _snowflake_version(url, table_prefix)
    )
    pending = [migration.name for migration in migrations(kind) if migration.version > version]
    known = schema_version(kind)
    return SchemaStatus(described(url), version, known, _status(version, known), pending)


def status_line(status: SchemaStatus) -> str:
    """Format the status in one line, with what to do."""
    pending = f"pending: {', '.join(status.pending)}"
    how = (
        "applied by fleet-q schema --apply"
        if status.store.startswith("snowflake")
        else "applied by the next pod or command that opens the file"
    )
    if status.status == "new":
        return f"{status.store}: no tables yet; {pending}; {how}"
    line = f"{status.store}: schema version {status.version}"
    if status.status == "current":
        return f"{line}, the one that this FLEET-Q requires; nothing is pending"
    line += f", and this FLEET-Q requires {status.known}"
    return f"{line}; upgrade fleet-q" if status.status == "ahead" else f"{line}; {pending}; {how}"


def _status(version: int, known: int) -> Literal["new", "behind", "current", "ahead"]:
    if version == 0:
        return "new"
    return "current" if version == known else "behind" if version < known else "ahead"


def _snowflake_version(url: str, table_prefix: str) -> int:
    from fleet_q.adapters.snowflake.opening import open_snowflake  # the connector may be missing

    store = open_snowflake(url, tag="fleet-q schema", table_prefix=table_prefix)
    from fleet_q.adapters.snowflake.migrate import applied

    try:
        versions = applied(store.session)
    finally:
        store.close()
    return 0 if versions is None else versions[0]
