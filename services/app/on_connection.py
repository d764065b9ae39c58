"""Submits steps in a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import cast

from fleet_q.adapters.open import sqlite_path
from fleet_q.adapters.snowflake.connection import named
from fleet_q.adapters.sqlite import inbox
from fleet_q.core.errors import InvalidInput
from fleet_q.core.step import Submit
from fleet_q.services.app.connection import Connection


def insert(connection: object, new: Sequence[Submit], store: Connection) -> None:
    """Insert the submissions into the inbox on ``connection``. Raises :class:`InvalidInput`
    unless it is one to the ``store`` of the app."""
    if any(submit.parents is not None for submit in new):
        raise InvalidInput("after cannot be combined with connection; submit without one of them")
    if any(submit.start_by is not None for submit in new):
        raise InvalidInput(
            "start_by cannot be combined with connection; submit without one of them"
        )
    where = store.where
    url = where if isinstance(where, str) else None
    environment = store.environment
    is_on_snowflake = environment is not None
    if isinstance(connection, sqlite3.Connection) and not is_on_snowflake:
        inbox.insert(connection, new, None if url is None else sqlite_path(url))
        return
    from fleet_q.adapters.snowflake import inbox_rows  # slow to import; on SQLite nobody needs it

    if inbox_rows.is_connection(connection) and (is_on_snowflake or url is None):
        users = cast("inbox_rows.UsersConnection", connection)
        place = {} if url is None else named(url, environment)
        inbox_rows.insert(users, new, place, store.settings.table_prefix)
    else:
        needed = (
            "a connection of snowflake.connector" if is_on_snowflake else "a sqlite3.Connection"
        )
        raise InvalidInput(f"connection must be {needed}, not {type(connection).__name__}")
