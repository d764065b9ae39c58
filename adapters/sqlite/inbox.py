"""Submits steps on a connection of the caller's, by rows of the inbox."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from fleet_q.adapters.statements import statements
from fleet_q.core.errors import InvalidInput
from fleet_q.core.inbox import row_values
from fleet_q.core.step import Submit

_INSERT: Final = statements("sqlite")["insert_inbox_row"]
_TABLE: Final = "step_inbox"
_FILES: Final = "PRAGMA database_list"


def insert(connection: sqlite3.Connection, new: Sequence[Submit], path: Path | None) -> None:
    """Insert the submissions in the connection's transaction, which the caller ends. Raises
    :class:`InvalidInput` if it is not one to the file ``path``, or to no store, and what the
    connection raises."""
    if path is not None and not _has_file(connection, path):
        raise InvalidInput(f"connection must be one to the file of the store, {path}")
    try:
        connection.executemany(_INSERT, [row_values(submit) for submit in new])
    except sqlite3.OperationalError as error:
        if _TABLE not in str(error):
            raise
        raise InvalidInput(
            f"connection must be one to the file of the store, with the table {_TABLE}: {error}"
        ) from error


def _has_file(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether ``path`` is the connection's file, or one that is attached to it."""
    cursor = connection.cursor()
    cursor.row_factory = None  # that of the caller may return anything
    with suppress(OSError):  # there is no such file
        is_file = [os.path.samefile(file, path) for _, _, file in cursor.execute(_FILES) if file]
        return any(is_file)
    return False
