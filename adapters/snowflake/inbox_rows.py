"""Submits steps on a connection of the caller's, by rows of the inbox. This module does not import
the connector, which the caller has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.statements import Statements, identifier
from fleet_q.core.errors import InvalidInput
from fleet_q.core.inbox import row_values
from fleet_q.core.sizes import size_of
from fleet_q.core.step import Submit

MAX_BYTES: Final = 512 * 1024
"""The approximate size of one statement; 1 MB is recommended
(https://docs.snowflake.com/en/user-guide/query-size-limits)."""

_NO_SUCH_OBJECT: Final = 2003


class Cursor(Protocol):
    """A cursor of Snowflake's connector."""

    def execute(self, command: str) -> object: ...
    def close(self) -> object: ...


class UsersConnection(Protocol):
    """A connection of Snowflake's connector."""

    def cursor(self) -> Cursor: ...


def is_connection(connection: object) -> bool:
    """Whether this is a connection of Snowflake's connector, or of a Snowpark session."""
    modules = (cls.__module__ for cls in type(connection).__mro__)
    return any(module.startswith("snowflake.connector") for module in modules)


def insert(
    connection: UsersConnection, new: Sequence[Submit], place: Mapping[str, str], prefix: str
) -> None:
    """Insert the submissions in the connection's transaction, which the caller ends. ``place`` has
    the store's ``database`` and ``schema``; what it lacks is the connection's. Raises
    :class:`InvalidInput` if the connection does not reach the table, and what it raises."""
    statements = Statements(prefix)
    named = ("database", "schema") if "schema" in place else ()
    parts = [identifier(place[part]) for part in named if part in place]
    table = ".".join([*parts, statements.names["step_inbox"]])
    cursor = connection.cursor()
    try:
        for batch in _batches([row_values(submit) for submit in new]):
            text = statements.text("insert_inbox_rows", step_inbox=table)
            cursor.execute(text.replace(":rows", _literal(rows.encode(batch))))
    except Exception as error:
        if getattr(error, "errno", None) != _NO_SUCH_OBJECT:
            raise
        raise InvalidInput(
            f"connection must be one to the store's account, whose role may insert into {table}:"
            f" {' '.join(str(error).split())}"
        ) from error
    finally:
        cursor.close()


def _batches(values: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    total = 0
    for each in values:
        size = size_of(rows.encode(each))
        if batch and total + size > MAX_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(each)
        total += size
    if batch:
        yield batch


def _literal(text: str) -> str:
    """A text as a constant, since the connection's style of binding is the caller's."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
