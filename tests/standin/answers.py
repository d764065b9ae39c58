"""HTTP answers in the JSON format of Snowflake's drivers."""

from __future__ import annotations

import uuid
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import pyarrow
from fakesnow.arrow import to_ipc, to_sf
from fakesnow.rowtype import ColumnInfo, describe_as_rowtype

from .errors import SnowflakeError

DML_COLUMNS: dict[str, tuple[str, ...]] = {
    "insert": ("number of rows inserted",),
    "update": ("number of rows updated", "number of multi-joined rows updated"),
    "delete": ("number of rows deleted",),
    "merge": ("number of rows inserted", "number of rows updated", "number of rows deleted"),
}
DONE = "Statement executed successfully."


@dataclass(frozen=True)
class Result:
    """The result of a statement: an Arrow table, or rows of texts."""

    rowtype: list[ColumnInfo]
    type_id: int
    table: pyarrow.Table | None = None
    rows: tuple[tuple[str | None, ...], ...] = ()
    changed: int | None = None
    """How many rows the statement changed."""

    @property
    def count(self) -> int:
        """How many rows were returned or changed."""
        if self.changed is not None:
            return self.changed
        return self.table.num_rows if self.table is not None else len(self.rows)


def counted(kind: str, type_id: int, counts: tuple[int, ...]) -> Result:
    """The result of a statement that changes rows."""
    names = DML_COLUMNS[kind]
    row = tuple(str(count) for count in (*counts, *[0] * len(names)))[: len(names)]
    rowtype = describe_as_rowtype([(name, "BIGINT", None, None, None, None) for name in names])
    return Result(rowtype, type_id, rows=(row,), changed=sum(counts))


def texts(names: tuple[str, ...], rows: list[tuple[str | None, ...]], type_id: int = 0) -> Result:
    """A result of rows of texts."""
    rowtype = describe_as_rowtype([(name, "VARCHAR", None, None, None, None) for name in names])
    return Result(rowtype, type_id, rows=tuple(rows))


def status(message: str, type_id: int = 0) -> Result:
    """A result of one message."""
    return texts(("status",), [(message,)], type_id)


def done(type_id: int = 0) -> Result:
    """The result of a statement without rows."""
    return status(DONE, type_id)


def success(
    result: Result, query_id: str, database: str | None, schema: str | None
) -> dict[str, Any]:
    """The answer to a statement."""
    if result.table is not None:
        ipc = to_ipc(_with_nulls(to_sf(result.table, result.rowtype), result.table))
        rows: dict[str, Any] = {"rowsetBase64": b64encode(ipc).decode()}
    else:
        rows = {"rowset": [list(row) for row in result.rows]}
    return {
        "data": {
            "parameters": [{"name": "TIMEZONE", "value": "Etc/UTC"}],
            "rowtype": result.rowtype,
            "total": result.table.num_rows if result.table is not None else len(result.rows),
            "queryId": query_id,
            "statementTypeId": result.type_id,
            "finalDatabaseName": database,
            "finalSchemaName": schema,
            "queryResultFormat": "arrow" if result.table is not None else "json",
            **rows,
        },
        "success": True,
    }


def _with_nulls(sent: pyarrow.Table, table: pyarrow.Table) -> pyarrow.Table:
    """Send timestamps that are NULL as NULL; fakesnow sends a timestamp with NULL parts."""
    for number, column in enumerate(table.columns):
        if pyarrow.types.is_timestamp(column.type) and column.null_count:
            parts = sent.column(number).combine_chunks().flatten()
            field = sent.schema.field(number)
            masked = pyarrow.StructArray.from_arrays(
                [part.fill_null(0) for part in parts],
                fields=list(field.type),
                mask=column.combine_chunks().is_null(),
            )
            sent = sent.set_column(number, field, masked)
    return sent


def failure(error: SnowflakeError) -> dict[str, Any]:
    """The answer to a request that failed."""
    return {
        "data": {
            "errorCode": error.code,
            "sqlState": error.sqlstate,
            "internalError": False,
            "line": -1,
            "pos": -1,
            "queryId": str(uuid.uuid4()),
        },
        "code": error.code,
        "message": error.message,
        "success": False,
    }
