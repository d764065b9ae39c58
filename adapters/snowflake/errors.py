"""Translates Snowflake's errors: ``StoreUnavailable`` if a retry may succeed, else
``StoreError``."""

from __future__ import annotations

from typing import Final

from snowflake.connector import errors

from fleet_q.core.errors import StoreContended, StoreError, StoreUnavailable

Failure = errors.Error | OSError
"""The errors that calls of the connector raise."""

LOST_SESSION: Final = {
    250002,  # the connection is closed
    390104,  # the session's token is invalid
    390111,  # the session does not exist any more
    390112,  # the session's token has expired and could not be renewed
    390113,  # the master token, which renews it: not found,
    390114,  # expired,
    390115,  # or invalid
}
"""Numbers of errors after which the session is lost; signing in again opens a new one."""

NO_SUCH_OBJECT: Final = 2003
"""An object does not exist, or the role may not see it."""

NO_PRIVILEGE: Final = 3001

LOCKED: Final = 625
"""More than 20 statements wait for a lock, or a statement waited for too long."""

CANCELED: Final = "57014"
"""The SQL state of every statement that was cancelled."""

NO_SIGN_IN: Final = 250001
"""The connector's error for a sign-in without a usable answer."""

_TEMPORARY: Final = LOST_SESSION | {
    6,  # connector 5.x: the answer was cut off
    603,  # internal error, may be retried
    604,  # the statement was cancelled
    LOCKED,
    630,  # the statement took longer than allowed
    8503,  # the warehouse is being resumed
    90073,  # the warehouse cannot be resumed at the moment
}
_HTTP: Final = 580_000  # connector 4.x adds the HTTP status to this
_TEMPORARY_STATUSES: Final = {408, 429, *range(500, 600)}

_CREATE_TABLES: Final = "create the tables with: fleet-q schema --store snowflake:// --apply"
_CHECK_KEY: Final = (
    "check the key pair: the public key of SNOWFLAKE_PRIVATE_KEY_FILE is not the user's, or this"
    " machine's clock is wrong"
)
_CHECK_ACCOUNT: Final = (
    "check SNOWFLAKE_ACCOUNT, and that Snowflake's network policy allows this machine"
)
_NEW_TOKEN: Final = "check SNOWFLAKE_TOKEN, or the file that SNOWFLAKE_TOKEN_FILE_PATH names"
_ADVICE: Final = {
    NO_SUCH_OBJECT: _CREATE_TABLES,
    2043: _CREATE_TABLES,
    NO_PRIVILEGE: "grant the role the privileges that fleet-q schema prints",
    390100: "check SNOWFLAKE_USER and its password, key or token",
    390144: _CHECK_KEY,
    394300: _CHECK_KEY,
    394304: _CHECK_KEY,
    390303: _NEW_TOKEN,
    390318: _NEW_TOKEN,
    390201: "check SNOWFLAKE_DATABASE, SNOWFLAKE_SCHEMA and SNOWFLAKE_WAREHOUSE",
    606: "name a warehouse that the role may use: SNOWFLAKE_WAREHOUSE",
    NO_SIGN_IN: _CHECK_ACCOUNT,
    290_000 + NO_SIGN_IN: _CHECK_ACCOUNT,
}


def is_lost(error: Failure) -> bool:
    """Whether the session cannot be used any more."""
    return error.errno in LOST_SESSION or isinstance(error, errors.InterfaceError)


def is_temporary(error: Failure) -> bool:
    """Whether a retry may succeed.

    Without an answer, connectors raise ``OperationalError`` with various numbers. If an answer was
    cut off, connector 4.x raises its HTTP library's ``OSError`` without a number; an ``OSError``
    with a number is about a file of this machine.
    """
    if isinstance(error, OSError):
        return error.errno is None or isinstance(error, ConnectionError)
    number = error.errno or 0
    return (
        number in _TEMPORARY
        or number - _HTTP in _TEMPORARY_STATUSES
        or error.sqlstate == CANCELED
        or isinstance(error, errors.OperationalError)
        or is_lost(error)
    )


def translated(error: Failure) -> Exception:
    """The core's error for ``error``, with a message of one line and advice where there is some. An
    ``OSError`` of this machine is returned unchanged."""
    if error.errno == LOCKED:
        return StoreContended(_line(error))
    if is_temporary(error):
        return StoreUnavailable(_line(error))
    if isinstance(error, OSError):
        return error
    advice = _ADVICE.get(error.errno or 0)
    return StoreError(f"{_line(error)} ({advice})" if advice else _line(error))


def number(error: StoreError) -> int | None:
    """Snowflake's number of a translated error; ``None`` if it has none."""
    cause = error.__cause__
    return cause.errno if isinstance(cause, errors.Error) else None


def plain(error: StoreError) -> str:
    """The message of a translated error without the advice."""
    cause = error.__cause__
    return _line(cause) if isinstance(cause, errors.Error) else str(error)


def advice(error: StoreError) -> str | None:
    """The advice for a translated error; ``None`` if there is none."""
    return _ADVICE.get(number(error) or 0)


def _line(error: Failure) -> str:
    message = None if isinstance(error, OSError) else error.raw_msg or error.msg
    return f"Snowflake: {' '.join((message or str(error)).split())}"
