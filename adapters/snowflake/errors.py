"""What Snowflake's errors mean for a caller: try again, or mend something first."""

from __future__ import annotations

from typing import Final

from snowflake.connector import errors

from fleet_q.core.errors import StoreContended, StoreError, StoreUnavailable

Failure = errors.Error | OSError
"""What a call of the connector raises."""

LOST_SESSION: Final = {
    250002,  # the connection is closed
    390104,  # the session's token means nothing to Snowflake
    390111,  # there is no such session any more
    390112,  # it has expired, and the connector could not renew it
    390113,  # so with the token that renews it: not found,
    390114,  # expired,
    390115,  # or of no meaning
}
"""The session is no more; signing in again makes a new one."""

NO_SUCH_OBJECT: Final = 2003
"""It does not exist, or the role may not know of it."""

NO_PRIVILEGE: Final = 3001

LOCKED: Final = 625
"""More than 20 statements wait for a lock, or it was waited for too long."""

CANCELED: Final = "57014"
"""The SQL state of a statement that was ended, whether its number is known here or not."""

NO_SIGN_IN: Final = 250001
"""What the connector says when a sign-in had no answer that it knows."""

_PASSING: Final = LOST_SESSION | {
    6,  # connector 5.x could not read the answer: it broke off
    603,  # internal error, to be tried again
    604,  # the statement was cancelled
    LOCKED,
    630,  # the statement took longer than allowed
    8503,  # the warehouse is being resumed
    90073,  # the warehouse cannot be resumed at the moment
}
_HTTP: Final = 580_000  # connector 4.x adds the status to it
_PASSING_STATUSES: Final = {408, 429, *range(500, 600)}

_MAKE_TABLES: Final = "make the tables with: fleet-q schema --store snowflake:// --apply"
_CHECK_KEY: Final = (
    "check the key pair: the public key of SNOWFLAKE_PRIVATE_KEY_FILE is not the user's, or this"
    " machine's clock is wrong"
)
_CHECK_ACCOUNT: Final = "check SNOWFLAKE_ACCOUNT, and that Snowflake lets this machine in"
_NEW_TOKEN: Final = "check SNOWFLAKE_TOKEN, or the file that SNOWFLAKE_TOKEN_FILE_PATH names"
_ADVICE: Final = {
    NO_SUCH_OBJECT: _MAKE_TABLES,
    2043: _MAKE_TABLES,
    NO_PRIVILEGE: "grant the role what fleet-q schema prints",
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
    """Whether the session cannot be gone on with."""
    return error.errno in LOST_SESSION or isinstance(error, errors.InterfaceError)


def is_passing(error: Failure) -> bool:
    """Whether the same may work when it is tried again. Where no answer came at all, the
    connectors have numbers of their own, and one class of error. Where an answer broke off, 4.x
    lets its HTTP library's error through, an ``OSError`` without a number; others of that kind are
    about files on this machine."""
    if isinstance(error, OSError):
        return error.errno is None or isinstance(error, ConnectionError)
    number = error.errno or 0
    return (
        number in _PASSING
        or number - _HTTP in _PASSING_STATUSES
        or error.sqlstate == CANCELED
        or isinstance(error, errors.OperationalError)
        or is_lost(error)
    )


def translated(error: Failure) -> Exception:
    """The error in the core's words: one line, which says what to do where that is known. What is
    not Snowflake's is left as it is."""
    if error.errno == LOCKED:
        return StoreContended(_line(error))
    if is_passing(error):
        return StoreUnavailable(_line(error))
    if isinstance(error, OSError):
        return error
    known = _ADVICE.get(error.errno or 0)
    return StoreError(f"{_line(error)} ({known})" if known else _line(error))


def number(error: StoreError) -> int | None:
    """Snowflake's number of an error that was translated."""
    cause = error.__cause__
    return cause.errno if isinstance(cause, errors.Error) else None


def plain(error: StoreError) -> str:
    """A translated error without its advice."""
    cause = error.__cause__
    return _line(cause) if isinstance(cause, errors.Error) else str(error)


def advice(error: StoreError) -> str | None:
    """What mends a translated error, where that is known."""
    return _ADVICE.get(number(error) or 0)


def _line(error: Failure) -> str:
    said = None if isinstance(error, OSError) else error.raw_msg or error.msg
    return f"Snowflake: {' '.join((said or str(error)).split())}"
