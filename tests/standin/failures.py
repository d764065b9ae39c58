"""Translates errors of fakesnow, of DuckDB and of sqlglot into Snowflake's."""

from __future__ import annotations

import duckdb
import snowflake.connector.errors
from sqlglot.errors import SqlglotError

from . import errors
from .errors import SnowflakeError

FAILURES = (duckdb.Error, SqlglotError, NotImplementedError, snowflake.connector.errors.Error)


def translated(error: Exception) -> SnowflakeError:
    """Snowflake's error for one of ``FAILURES``."""
    message = str(error).split("\n\n")[0]
    match error:
        case snowflake.connector.errors.Error():
            text = error.raw_msg or str(error)
            return SnowflakeError(f"{error.errno:06d}", text, error.sqlstate)
        case duckdb.ConnectionException():  # closed while the statement waited
            return errors.session_gone()
        case duckdb.CatalogException():
            name = message.partition("with name ")[2].split(" ")[0]
            return errors.no_table(name.upper()) if name else _compilation(message)
        case duckdb.BinderException() | duckdb.ParserException():
            return _compilation(message)
        case duckdb.ConstraintException():
            return SnowflakeError(
                "100072", f"NULL result in a non-nullable column ({message})", "22000"
            )
        case duckdb.ConversionException() | duckdb.OutOfRangeException():
            return SnowflakeError("100038", message, "22018")
        case _:
            return errors.not_provided(f"{type(error).__name__}: {message}")


def _compilation(message: str) -> SnowflakeError:
    return SnowflakeError("000904", f"SQL compilation error:\n{message}", "42000")
