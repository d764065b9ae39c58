"""Snowflake's transactions, built on those of DuckDB.

In Snowflake each statement reads what is committed. A DuckDB transaction reads one snapshot from
beginning to end, and fails if it changes rows that another has changed since the snapshot. So the
DuckDB transaction begins at the first write, after the lock of the table was granted. Before a
statement that uses a table which others have changed since the snapshot, the DuckDB transaction is
restarted: its own writes are copied, and applied again on the new snapshot. That is safe, since it
changed existing rows only in tables that it has locked, where others can only have added rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import pyarrow
from duckdb import DuckDBPyConnection

FIRST_NEW_ROW: Final = 36_028_797_018_960_000
"""DuckDB's rowid of the first row that a transaction adds to a table; those of committed rows are
smaller."""

_ids: Final = itertools.count(1_700_000_000_000_000_001)


class Commits:
    """Which commit changed a table last."""

    def __init__(self) -> None:
        self.latest = 0
        self._changed: dict[str, int] = {}
        self._changed_by: dict[tuple[int, str], int] = {}

    def add(self, tables: Iterable[str], session: int) -> None:
        """Record a commit, by which a session changed these tables."""
        self.latest += 1
        for table in tables:
            self._changed[table] = self._changed_by[session, table] = self.latest

    def last(self, table: str) -> int:
        """The number of the commit that changed the table last."""
        return self._changed.get(table, 0)

    def last_by(self, session: int, table: str) -> int:
        """The number of the commit by which the session changed the table last."""
        return self._changed_by.get((session, table), 0)


@dataclass
class Transaction:
    """An open transaction of one session; it ``began`` at a time in microseconds since 1970, and
    ``locked`` a table first at another. Snowflake makes up a ``name`` for one that has none."""

    began: int
    locked: int = 0
    name: str | None = None
    id: int = field(default_factory=lambda: next(_ids))
    seen: int = -1
    """The latest commit in DuckDB's snapshot; -1: its transaction has not begun."""
    added_to: set[str] = field(default_factory=set)
    changed_in: dict[str, int | None] = field(default_factory=dict)
    """Tables whose old rows it has changed; if some of them are gone, with the greatest rowid in
    the snapshot, which tells them from rows that others have added since."""
    lost: bool = False
    """A statement failed in it, after which DuckDB can only roll back."""

    @property
    def has_begun(self) -> bool:
        return self.seen >= 0

    @property
    def written(self) -> set[str]:
        return self.added_to | set(self.changed_in)

    def prepare(
        self, duck: DuckDBPyConnection, commits: Commits, touched: Iterable[str], writes: bool
    ) -> None:
        """Begin or restart DuckDB's transaction as the next statement, which uses the tables
        ``touched``, needs it."""
        if not self.has_begun:
            if writes:
                duck.execute("BEGIN")
                self.seen = commits.latest
        elif any(commits.last(table) > self.seen for table in touched):
            self._restart(duck)
            self.seen = commits.latest

    def fail(self, duck: DuckDBPyConnection, wrote_before: bool) -> None:
        """Handle a failed statement. Snowflake rolls back that statement only; this can do the same
        only if the transaction has written nothing before."""
        if not self.has_begun:
            return
        if wrote_before:
            self.lost = True
            return
        duck.execute("ROLLBACK")
        self.seen = -1
        self.added_to.clear()
        self.changed_in.clear()

    def note_write(self, duck: DuckDBPyConnection, table: str, kind: str) -> None:
        """Record what the next statement writes, before it runs."""
        if kind == "insert":
            self.added_to.add(table)
            return
        self.changed_in.setdefault(table, None)
        if kind != "update" and self.changed_in[table] is None:
            self.changed_in[table] = _greatest_rowid(duck, table)

    def _restart(self, duck: DuckDBPyConnection) -> None:
        writes = {table: _own_rows(duck, table, table in self.changed_in) for table in self.written}
        duck.execute("ROLLBACK")
        duck.execute("BEGIN")
        for table, rows in writes.items():
            if table in self.changed_in:
                greatest = _greatest_rowid(duck, table)
                _restore_changes(duck, table, rows, self.changed_in[table])
                self.changed_in[table] = greatest  # the restored rows have new rowids
            duck.execute(
                f"INSERT INTO {table} SELECT * EXCLUDE (_row) FROM rows"
                f" WHERE _row >= {FIRST_NEW_ROW}"
            )


def _own_rows(duck: DuckDBPyConnection, table: str, also_old: bool) -> pyarrow.Table:
    which = "" if also_old else f" WHERE rowid >= {FIRST_NEW_ROW}"
    return duck.execute(f"SELECT rowid AS _row, * FROM {table}{which}").to_arrow_table()


def _restore_changes(
    duck: DuckDBPyConnection, table: str, rows: pyarrow.Table, greatest: int | None
) -> None:
    if greatest is not None:
        duck.execute(
            f"DELETE FROM {table}"
            f" WHERE rowid <= {greatest} AND rowid NOT IN (SELECT _row FROM rows)"
        )
    changed: pyarrow.Table = duck.execute(
        f"SELECT * FROM rows WHERE _row < {FIRST_NEW_ROW} EXCEPT SELECT rowid, * FROM {table}"
    ).to_arrow_table()
    if changed.num_rows:
        duck.execute(f"DELETE FROM {table} WHERE rowid IN (SELECT _row FROM changed)")
        duck.execute(f"INSERT INTO {table} SELECT * EXCLUDE (_row) FROM changed")


def _greatest_rowid(duck: DuckDBPyConnection, table: str) -> int:
    found = duck.execute(f"SELECT max(rowid) FROM {table} WHERE rowid < {FIRST_NEW_ROW}").fetchone()
    return -1 if found is None or found[0] is None else int(found[0])
