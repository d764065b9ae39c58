"""The rows of a schema's tables, remembered and restored.

Making the tables of a store takes many statements, so tests share them, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow
from duckdb import DuckDBPyConnection

Rows = Mapping[str, pyarrow.Table]
"""The rows of tables, by their full quoted names."""


def read(duck: DuckDBPyConnection, database: str, schema: str) -> Rows:
    """Read the rows of all tables of a schema."""
    tables = duck.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
        " AND upper(table_catalog) = ? AND upper(table_schema) = ?",
        [database, schema],
    ).fetchall()
    names = [f'"{database}"."{schema}"."{table}"'.upper() for (table,) in tables]
    return {name: duck.execute(f"SELECT * FROM {name}").to_arrow_table() for name in names}


def restore(duck: DuckDBPyConnection, rows: Rows) -> None:
    """Replace the rows of these tables."""
    for table, content in rows.items():
        duck.execute(f"DELETE FROM {table}")
        if content.num_rows:
            duck.execute(f"INSERT INTO {table} SELECT * FROM content")
