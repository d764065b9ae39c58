"""A store in one SQLite file, for the processes of one machine."""

from fleet_q.adapters.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
