"""Snowflake's errors, with their numbers and SQL states."""

from __future__ import annotations

from typing import Final

from .names import short


class SnowflakeError(Exception):
    """An error in the answer to a request; ``status`` is the HTTP status."""

    def __init__(
        self,
        code: str,
        message: str,
        sqlstate: str | None = None,
        status: int = 200,
        name: str = "",
    ) -> None:
        super().__init__(message)
        self.name = name
        self.code = code
        self.message = message
        self.sqlstate = sqlstate
        self.status = status


def too_many_waiters(table: str, transaction: int, limit: int) -> SnowflakeError:
    name = short(table)
    return SnowflakeError(
        "000625",
        f"Statement has locked table '{name}' in transaction {transaction} and this lock has not"
        " yet been released.\nYour statement was aborted because the number of waiters for this"
        f" lock exceeds the {limit} statements limit.",
        "57014",
        name="too_many_waiters",
    )


# Snowflake documents the SQL state of the next two errors, but not their numbers.


def lock_timeout(table: str, seconds: float) -> SnowflakeError:
    name = short(table)
    return SnowflakeError(
        "000625",
        f"Your statement was aborted because it waited for the lock of table '{name}' longer than"
        f" LOCK_TIMEOUT, {seconds:g} seconds.",
        "57014",
        name="lock_timeout",
    )


def statement_timeout(seconds: float) -> SnowflakeError:
    return SnowflakeError(
        "000630",
        f"Statement reached its statement or warehouse timeout of {seconds:g} second(s) and was"
        " canceled.",
        "57014",
        name="statement_timeout",
    )


def queued_timeout(seconds: float) -> SnowflakeError:
    return SnowflakeError(
        "000630",
        f"Statement reached its queued timeout of {seconds:g} second(s) and was canceled.",
        "57014",
    )


def deadlock(table: str) -> SnowflakeError:
    name = short(table)
    return SnowflakeError(
        "000625",
        f"Your statement was aborted because waiting for the lock of table '{name}' is a deadlock.",
        "57014",
        name="deadlock",
    )


def too_large_value(size: int, most: int) -> SnowflakeError:
    return SnowflakeError(
        "100078", f"String of {size} bytes is too long and would be truncated at {most}", "22000"
    )


def too_large_result(size: int, most: int) -> SnowflakeError:
    return SnowflakeError(
        "100082",
        f"The data is too large: Max LOB size ({most}) exceeded, actual size of parsed column is"
        f" {size}",
        "22000",
    )


def no_table(name: str) -> SnowflakeError:
    return SnowflakeError(
        "002003",
        f"SQL compilation error:\nObject '{name}' does not exist or not authorized.",
        "42S02",
    )


def canceled() -> SnowflakeError:
    return SnowflakeError("000604", "SQL execution canceled", "57014")


def no_privilege(table: str) -> SnowflakeError:
    return SnowflakeError(
        "003001",
        f"SQL access control error:\nInsufficient privileges to operate on table '{short(table)}'",
        "42501",
    )


def session_expired() -> SnowflakeError:
    return SnowflakeError("390112", "Your session has expired. Please login again.")


def must_sign_in_again() -> SnowflakeError:
    return SnowflakeError(
        "390114", "Authentication token has expired.  The user must authenticate again."
    )


def session_gone() -> SnowflakeError:
    return SnowflakeError(
        "390111", "Session no longer exists.  New login required to access the service.", "08001"
    )


def wrong_password() -> SnowflakeError:
    return SnowflakeError("390100", "Incorrect username or password was specified.", "28000")


def lost_transaction() -> SnowflakeError:
    """Snowflake rolls back only the statement that failed. DuckDB cannot do that."""
    return SnowflakeError(
        "000603",
        "The stand-in lost this transaction when a statement in it failed; only ROLLBACK is left.",
        "25000",
    )


def syntax(unexpected: str, line: int, position: int, reason: str = "") -> SnowflakeError:
    """A syntax error, or a construct that procedures of FLEET-Q may not use."""
    return SnowflakeError(
        "001003",
        f"SQL compilation error:\nsyntax error line {line} at position {position} unexpected"
        f" '{unexpected}'." + (f" ({reason}; see docs/snowflake.md)" if reason else ""),
        "42000",
    )


def unknown_variable(name: str, line: int, position: int) -> SnowflakeError:
    return SnowflakeError(
        "000904",
        f"SQL compilation error: error line {line} at position {position}\ninvalid identifier"
        f" '{name}'",
        "42000",
    )


def no_procedure(name: str) -> SnowflakeError:
    """Also for a procedure on which the role lacks USAGE."""
    return SnowflakeError(
        "002141", f"SQL compilation error:\nUnknown user-defined function {name}.", "42601"
    )


def procedure_exists(name: str) -> SnowflakeError:
    return SnowflakeError(
        "002002", f"SQL compilation error:\nObject '{name}' already exists.", "42710"
    )


def invalid_arguments(name: str, types: str) -> SnowflakeError:
    return SnowflakeError(
        "001044",
        f"SQL compilation error: error line 1 at position 5\nInvalid argument types for function"
        f" '{name}': ({types})",
        "42P13",
    )


def no_privilege_on_schema(schema: str) -> SnowflakeError:
    return SnowflakeError(
        "003001",
        f"SQL access control error:\nInsufficient privileges to operate on schema '{schema}'",
        "42501",
    )


def uncaught(error: SnowflakeError, line: int, position: int) -> SnowflakeError:
    """The error of a CALL in which a statement failed: the statement's, with its place."""
    return SnowflakeError(
        error.code,
        f"Uncaught exception of type 'STATEMENT_ERROR' on line {line} at position {position} :"
        f" {error.message}",
        error.sqlstate,
        error.status,
        error.name,
    )


# Snowflake documents the messages of the next errors, but not their numbers.


def incomplete_transaction() -> SnowflakeError:
    return SnowflakeError(
        "090232",
        "Stored procedure execution error: Scoped transaction started in stored procedure is"
        " incomplete and it was rolled back.",
        "P0000",
    )


def other_scope() -> SnowflakeError:
    return SnowflakeError(
        "090233",
        "Modifying a transaction that has started at a different scope is not allowed.",
        "P0000",
    )


def wrong_table() -> SnowflakeError:
    return SnowflakeError(
        "090234",
        "Stored procedure execution error: data type of returned table does not match expected"
        " returned table type",
        "P0000",
    )


def no_return() -> SnowflakeError:
    return SnowflakeError(
        "090235", "SQL compilation error: stored procedure is missing a return statement", "P0000"
    )


def wrong_type(name: str, type_: str, line: int, position: int) -> SnowflakeError:
    return SnowflakeError(
        "090236",
        f"Uncaught exception of type 'EXPRESSION_ERROR' on line {line} at position {position} :"
        f" the value assigned to '{name}' is not a {type_}; cast it",
        "P0000",
    )


def not_with_owner_rights(statement: str) -> SnowflakeError:
    return SnowflakeError(
        "090237",
        f"Stored procedure execution error: Unsupported statement type '{statement}' in a procedure"
        " with owner's rights.",
        "P0000",
    )


def not_provided(what: str) -> SnowflakeError:
    return SnowflakeError("009999", f"The stand-in cannot do this: {what}", "0A000")


NAMED: Final = {
    "expired": session_expired,
    "gone": session_gone,
    "sign-in": must_sign_in_again,
    "password": wrong_password,
}
"""Errors that a fault can ask for by name, besides those that need a table."""
