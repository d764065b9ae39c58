"""Compares the schema version of a store with the one that this FLEET-Q requires."""

from __future__ import annotations

from collections.abc import Iterable
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


def status_lines(status: SchemaStatus) -> list[str]:
    """Format the status, with what to do. Every line but that of the store fits 80 columns."""
    is_snowflake = status.store.startswith("snowflake")
    if status.status == "new":
        line = "no tables yet"
    elif status.status == "current":
        line = f"schema version {status.version}, the one that this FLEET-Q requires"
    else:
        line = f"schema version {status.version}, and this FLEET-Q requires {status.known}"
    if status.status == "ahead":
        line += "; upgrade fleet-q"
    lines = [f"{status.store}:", line]
    if status.pending:
        how = "fleet-q schema --apply" if is_snowflake else "whatever opens the file next"
        lines += [f"pending migrations, applied by {how}:", *_indented(status.pending)]
    if status.missing_procedures:
        lines.append("procedures that are missing, outdated, or not for this role:")
        lines += _indented(name.strip('"') for name in status.missing_procedures)
        lines.append("create them and let a role call them:")
        lines.append("  fleet-q schema --apply --role YOUR_ROLE")
    if status.status == "current" and not status.missing_procedures:
        lines.append("nothing is pending")
    return lines


def _indented(names: Iterable[str]) -> list[str]:
    return [f"  {name}" for name in names]


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
