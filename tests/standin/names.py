"""Names of tables in statements and messages."""

from __future__ import annotations


def short(table: str) -> str:
    """A table's name without its database and schema, and without quotes."""
    return table.rpartition(".")[2].strip('"')


def unquoted(table: str) -> str:
    """A table's full name without quotes."""
    return table.replace('"', "")
