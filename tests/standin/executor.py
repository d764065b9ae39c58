"""Executes statements at once: by their plans on DuckDB, or by fakesnow."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any, Final

import duckdb
import pyarrow
from duckdb import DuckDBPyConnection
from fakesnow import info_schema
from fakesnow.rowtype import ColumnInfo, describe_as_rowtype

from . import answers
from .answers import Result
from .errors import SnowflakeError
from .plans import Plan, TableDefinition
from .sessions import Session

_MERGED: Final = ("INSERT", "UPDATE", "DELETE")

KEPT: Final = 4_096
"""How many results of expressions are kept; the least recently used ones are dropped."""

_LONGEST_KEPT: Final = 200
"""Characters of the values of an expression whose result is kept, at most."""


class Executor:
    """Executes statements."""

    def __init__(self) -> None:
        self._rowtypes: dict[tuple[str, object], list[ColumnInfo]] = {}
        self._results: OrderedDict[tuple[str, str], Result] = OrderedDict()

    def execute(
        self,
        session: Session,
        plan: Plan,
        text: str,
        values: list[Any],
        stale: DuckDBPyConnection | None = None,
    ) -> Result:
        """Execute a statement; ``stale`` is the connection for a query that reads old rows."""
        if plan.sql is None:
            return self.by_fakesnow(session, text, values, plan)
        bound = {f"p{number}": value for number, value in enumerate(values, 1)}
        bound |= session.values(plan.session_values)
        duck = session.connection._duck_conn
        try:
            if stale is None:
                duck.execute(plan.statement or plan.sql, bound or None)
            elif plan.kind == "select":
                duck = stale.execute(plan.sql, bound or None)
            else:
                assert plan.source is not None
                assert plan.into is not None
                rows_read = stale.execute(  # noqa: F841
                    plan.source, _used(bound, plan.source)
                ).to_arrow_table()
                duck.execute(plan.into, _used(bound, plan.into))
            if plan.kind == "select":
                table: pyarrow.Table = duck.to_arrow_table()
            else:
                rows = duck.fetchall()
        except duckdb.InvalidInputException as error:
            raise SnowflakeError("002049", f"SQL compilation error:\n{error}", "42601") from None
        if plan.kind == "select":
            return Result(self._rowtype(session, plan.sql, bound, table.schema), 4096, table)
        if plan.kind == "merge":
            actions = [row[0] for row in rows]
            counts = tuple(actions.count(action) for action in _MERGED)
        else:
            counts = (int(rows[0][0]),)
        return answers.counted(plan.kind, plan.type_id, counts)

    def evaluate(self, session: Session, plan: Plan, text: str, values: list[Any]) -> Result:
        """Execute a query that reads no table. Its result is kept, since procedures evaluate the
        same few expressions again and again, each of which takes DuckDB half a millisecond."""
        key = text, repr(values)
        result = self._results.get(key)
        if result is None:
            result = self.execute(session, plan, text, values)
            if plan.sql is not None and plan.repeatable and len(key[1]) <= _LONGEST_KEPT:
                self._results[key] = result
                if len(self._results) > KEPT:
                    self._results.popitem(last=False)
        else:
            self._results.move_to_end(key)
        return result

    def define(self, session: Session, plan: Plan, table: TableDefinition) -> Result:
        """Create a table, and store the metadata that fakesnow stores."""
        duck = session.connection._duck_conn
        duck.execute(plan.statement or plan.sql or "")
        database, schema = session.where
        where = (
            table.name.database or database,
            table.name.schema or schema,
            table.name.name.upper(),
        )
        if table.comment is not None:
            duck.execute(info_schema.insert_table_comment_sql(*where, table.comment))
        if table.text_lengths:
            duck.execute(info_schema.insert_text_lengths_sql(*where, list(table.text_lengths)))
        return answers.status(f"Table {where[2]} successfully created.", plan.type_id)

    def _rowtype(
        self, session: Session, sql: str, bound: dict[str, Any], schema: Any
    ) -> list[ColumnInfo]:
        key = (sql, str(schema))
        if key not in self._rowtypes:
            duck = session.connection._duck_conn
            described = duck.execute(f"DESCRIBE {sql}", bound or None).fetchall()
            self._rowtypes[key] = describe_as_rowtype(described)
        return self._rowtypes[key]

    def by_fakesnow(self, session: Session, text: str, values: list[Any], plan: Plan) -> Result:
        cursor = session.connection.cursor()
        cursor.execute(text, binding_params=tuple(values) or None, server=True)
        rowtype = describe_as_rowtype(cursor._describe_last_sql())
        return Result(rowtype, plan.type_id, cursor._arrow_table)


def _used(bound: dict[str, Any], sql: str) -> dict[str, Any] | None:
    """The values that a part of a statement binds; DuckDB accepts no others."""
    names = set(re.findall(r"\$(\w+)", sql))
    return {name: value for name, value in bound.items() if name in names} or None
