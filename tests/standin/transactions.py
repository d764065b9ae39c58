"""Snowflake's transactions on DuckDB's.

Snowflake reads what is committed, statement by statement. A transaction of DuckDB sees one picture
from its beginning to its end, and one that changes rows which another has changed since that
picture was taken fails. So DuckDB's transaction is begun only at the first write, after the lock
of the table was got; and before a statement that touches a table which others have changed in the
meantime, the transaction is begun anew: what it has written is put aside, and put back on top of
the new picture. Its own changes of old rows are in tables that it holds the lock of, which nobody
else can have changed rows in; others can only have added some.
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

    def add(self, tables: Iterable[str]) -> None:
        """One more commit, which changed these tables."""
        self.latest += 1
        for table in tables:
            self._changed[table] = self.latest

    def last(self, table: str) -> int:
        """The number of the commit that changed the table last."""
        return self._changed.get(table, 0)


@dataclass
class Transaction:
    """An open transaction of one session; it ``began`` at a time in microseconds since 1970, and
    ``locked`` a table first at another. Snowflake makes up a ``name`` for one that has none."""

    began: int
    locked: int = 0
    name: str | None = None
    id: int = field(default_factory=lambda: next(_ids))
    seen: int = -1
    """The latest commit in DuckDB's picture; -1: its transaction has not been begun."""
    added_to: set[str] = field(default_factory=set)
    changed_in: dict[str, int | None] = field(default_factory=dict)
    """Tables whose old rows it has changed; if some of them are gone, with the greatest rowid in
    the picture, which tells them from rows that others have added since."""
    lost: bool = False
    """A statement failed in it, after which DuckDB gives up the whole."""

    @property
    def has_begun(self) -> bool:
        return self.seen >= 0

    @property
    def written(self) -> set[str]:
        return self.added_to | set(self.changed_in)

    def prepare(
        self, duck: DuckDBPyConnection, commits: Commits, touched: Iterable[str], writes: bool
    ) -> None:
        """Let DuckDB's transaction see all that is committed in the tables that are touched next;
        begin it, if it is written to."""
        if not self.has_begun:
            if writes:
                duck.execute("BEGIN")
                self.seen = commits.latest
        elif any(commits.last(table) > self.seen for table in touched):
            self._begin_anew(duck)
            self.seen = commits.latest

    def fail(self, duck: DuckDBPyConnection, wrote_before: bool) -> None:
        """A statement failed in it. Snowflake takes back that statement alone; so does this, as
        long as there is nothing else to take back."""
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
        """Say what the next statement does, before it is run."""
        if kind == "insert":
            self.added_to.add(table)
            return
        self.changed_in.setdefault(table, None)
        if kind != "update" and self.changed_in[table] is None:
            self.changed_in[table] = _greatest_rowid(duck, table)

    def _begin_anew(self, duck: DuckDBPyConnection) -> None:
        aside = {table: _own_rows(duck, table, table in self.changed_in) for table in self.written}
        duck.execute("ROLLBACK")
        duck.execute("BEGIN")
        for table, rows in aside.items():
            if table in self.changed_in:
                greatest = _greatest_rowid(duck, table)
                _put_back_changes(duck, table, rows, self.changed_in[table])
                self.changed_in[table] = greatest  # what was put back is gone from its old place
            duck.execute(
                f"INSERT INTO {table} SELECT * EXCLUDE (_row) FROM rows"
                f" WHERE _row >= {FIRST_NEW_ROW}"
            )


def _own_rows(duck: DuckDBPyConnection, table: str, also_old: bool) -> pyarrow.Table:
    which = "" if also_old else f" WHERE rowid >= {FIRST_NEW_ROW}"
    return duck.execute(f"SELECT rowid AS _row, * FROM {table}{which}").to_arrow_table()


def _put_back_changes(
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
