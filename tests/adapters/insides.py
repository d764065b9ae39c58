"""Access to the private parts of a store on SQLite."""

from __future__ import annotations

import sqlite3

from fleet_q.adapters.sqlite.database import SqliteDatabase
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.ports import Store


def database_of(store: Store) -> SqliteDatabase:
    assert isinstance(store, SqliteStore)
    assert isinstance(store._database, SqliteDatabase)
    return store._database


def connection_of(store: Store) -> sqlite3.Connection:
    connection = database_of(store)._connection
    assert connection is not None
    return connection
