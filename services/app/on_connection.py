"""Submits steps in a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from fleet_q.adapters.open import sqlite_path
from fleet_q.adapters.sqlite import inbox
from fleet_q.core.errors import InvalidInput
from fleet_q.core.ports import Store
from fleet_q.core.step import Submit


def insert(connection: object, new: Sequence[Submit], where: str | Store) -> None:
    """Insert the submissions into the inbox on ``connection``. Raises :class:`InvalidInput`
    unless it is one to the SQLite store ``where``."""
    if not isinstance(connection, sqlite3.Connection):
        raise InvalidInput(
            f"connection must be a sqlite3.Connection, not {type(connection).__name__}"
        )
    inbox.insert(connection, new, sqlite_path(where) if isinstance(where, str) else None)
