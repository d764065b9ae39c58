"""Snowflake's errors, with their numbers and SQL states."""

from __future__ import annotations

from typing import Final


class SnowflakeError(Exception):
    """An error in the answer to a request; ``status`` is the HTTP status."""

    def __init__(
        self, code: str, message: str, sqlstate: str | None = None, status: int = 200
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.sqlstate = sqlstate
        self.status = status


def _short(table: str) -> str:
    return table.rpartition(".")[2].strip('"')


def too_many_waiters(table: str, transaction: int, limit: int) -> SnowflakeError:
    name = _short(table)
    return SnowflakeError(
        "000625",
        f"Statement has locked table '{name}' in transaction {transaction} and this lock has not"
        " yet been released.\nYour statement was aborted because the number of waiters for this"
        f" lock exceeds the {limit} statements limit.",
        "57014",
    )


# Snowflake documents the SQL state of the next two errors, but not their numbers.


def lock_timeout(table: str, seconds: float) -> SnowflakeError:
    name = _short(table)
    return SnowflakeError(
        "000625",
        f"Your statement was aborted because it waited for the lock of table '{name}' longer than"
        f" LOCK_TIMEOUT, {seconds:g} seconds.",
        "57014",
    )


def deadlock(table: str) -> SnowflakeError:
    name = _short(table)
    return SnowflakeError(
        "000625",
        f"Your statement was aborted because waiting for the lock of table '{name}' is a deadlock.",
        "57014",
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
        f"SQL access control error:\nInsufficient privileges to operate on table '{_short(table)}'",
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


def not_provided(what: str) -> SnowflakeError:
    return SnowflakeError("009999", f"The stand-in cannot do this: {what}", "0A000")


NAMED: Final = {
    "expired": session_expired,
    "gone": session_gone,
    "sign-in": must_sign_in_again,
    "password": wrong_password,
}
"""Errors that a fault can ask for by name, besides those that need a table."""
