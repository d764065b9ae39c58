"""Compares the schema version of a store with the one that this FLEET-Q requires."""

from __future__ import annotations

from typing import Literal

import msgspec

from fleet_q.adapters.open import described, dialect, sqlite_path
from fleet_q.adapters.sqlite import migrate as sqlite_migrate
from fleet_q.sql import migrations, schema_version


class SchemaStatus(msgspec.Struct, frozen=True):
    """The schema versions: ``version`` of the store, 0 if it has no tables, and ``known``, the one
    that this FLEET-Q requires. ``pending`` are the names of the migrations in between, and
    ``missing_procedures`` those that do not exist or are outdated."""

    store: str
    version: int
    known: int
    status: Literal["new", "behind", "current", "ahead"]
    pending: list[str]
    missing_procedures: list[str]


def read_status(url: str, table_prefix: str) -> SchemaStatus:
    """Read the version of the store and change nothing. Raises :class:`InvalidInput` for
    ``memory://``."""
    kind = dialect(url)
    version, missing = (
        (sqlite_migrate.applied(sqlite_path(url)), list[str]())
        if kind == "sqlite"
        else _in_snowflake(url, table_prefix)
    )
    pending = [migration.name for migration in migrations(kind) if migration.version > version]
    known = schema_version(kind)
    return SchemaStatus(described(url), version, known, _status(version, known), pending, missing)


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
    if status.missing_procedures:
        return f"{line}; missing or outdated: {', '.join(status.missing_procedures)}; {how}"
    if status.status == "current":
        return f"{line}, the one that this FLEET-Q requires; nothing is pending"
    line += f", and this FLEET-Q requires {status.known}"
    return f"{line}; upgrade fleet-q" if status.status == "ahead" else f"{line}; {pending}; {how}"


def _status(version: int, known: int) -> Literal["new", "behind", "current", "ahead"]:
    if version == 0:
        return "new"
    return "current" if version == known else "behind" if version < known else "ahead"


def _in_snowflake(url: str, table_prefix: str) -> tuple[int, list[str]]:
    """The version of the tables, and the procedures that are missing in it."""
    from fleet_q.adapters.snowflake.opening import open_snowflake  # the connector may be missing

    store = open_snowflake(url, tag="fleet-q schema", table_prefix=table_prefix)
    from fleet_q.adapters.snowflake.migrate import applied, missing_procedures

    try:
        versions = applied(store.session)
        if versions is None or versions[0] != schema_version("snowflake"):
            return (0 if versions is None else versions[0]), []
        return versions[0], [procedure.name for procedure in missing_procedures(store.session)]
    finally:
        store.close()
