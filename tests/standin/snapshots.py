"""What tables held before the last commit that changed them, for reads that do not see it yet.

Snowflake promises a session only that it sees its own commits, unless the account's parameter
READ_CONSISTENCY_MODE is GLOBAL.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from .faults import Faults
from .transactions import Commits


@dataclass(frozen=True)
class _Snapshot:
    duck: DuckDBPyConnection
    """A connection with a transaction that began before the commit."""
    commit: int
    """The number of the commit before it."""


class Snapshots:
    """Snapshots of tables."""

    def __init__(self, duck: DuckDBPyConnection, commits: Commits) -> None:
        self._duck = duck
        self._commits = commits
        self._before: dict[str, _Snapshot] = {}

    def take(self, tables: Iterable[str]) -> None:
        """Keep what tables hold, before a commit changes them."""
        duck = self.open(tables)
        for table in tables:
            self._before[table] = _Snapshot(duck, self._commits.latest)

    def open(self, tables: Iterable[str]) -> DuckDBPyConnection:
        """A connection for reading what tables hold now."""
        duck = self._duck.cursor()
        duck.execute("BEGIN")
        for table in tables:
            duck.execute(f"SELECT 1 FROM {table} LIMIT 0")  # DuckDB's snapshot begins here
        return duck

    def drop(self, tables: Iterable[str]) -> None:
        """Drop the snapshots of these tables."""
        for table in tables:
            self._before.pop(table, None)

    def drop_schema(self, database: str, schema: str) -> None:
        """Drop the snapshots of a schema's tables."""
        prefix = f'"{database}"."{schema}".'
        self.drop([table for table in self._before if table.startswith(prefix)])

    def stale(
        self, faults: Faults, reads: list[str], text: str, session: int
    ) -> DuckDBPyConnection | None:
        """A connection that does not see the last commit to one of the tables, if a fault says so.
        A session always sees what it has committed itself."""
        for table in reads:
            snapshot = self._before.get(table)
            if snapshot is None or any(
                self._commits.last_by(session, other) > snapshot.commit for other in reads
            ):
                continue
            if faults.makes_stale(table, text):
                return snapshot.duck
        return None
