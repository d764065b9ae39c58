"""Makes the index of the log's times in a SQLite file."""

from __future__ import annotations

import sqlite3

from fleet_q.adapters import fork
from fleet_q.adapters.sqlite.open import Opening
from fleet_q.sql import load


def make_log_index(opening: Opening) -> None:
    """Make the index, on a connection of its own: other threads of this process can read meanwhile,
    and a fork waits."""
    owned = fork.OwnedConnection[sqlite3.Connection]()
    fork.register(owned)
    with owned.lock:
        owned.connection = connection = opening.connect("rw")
        try:
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(load("sqlite", "make_log_index"))
        finally:
            owned.close()
