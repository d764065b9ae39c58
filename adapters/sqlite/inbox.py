"""Submits steps on a connection of the caller's, by rows of the inbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from fleet_q.adapters.statements import statements
from fleet_q.core.errors import InvalidInput
from fleet_q.core.inbox import row_values
from fleet_q.core.step import Submit

_INSERT: Final = statements("sqlite")["insert_inbox_row"]
_TABLE: Final = "step_inbox"


def insert(connection: sqlite3.Connection, new: Sequence[Submit]) -> None:
    """Insert the submissions in the connection's transaction, which the caller ends. Raises
    :class:`InvalidInput` if its file is no store, and what the connection raises."""
    try:
        connection.executemany(_INSERT, [row_values(submit) for submit in new])
    except sqlite3.OperationalError as error:
        if _TABLE not in str(error):
            raise
        raise InvalidInput(
            f"connection must be one to the file of the store, with the table {_TABLE}: {error}"
        ) from error
