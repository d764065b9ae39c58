"""What Snowflake's errors mean for a caller: try again, or mend something first."""

from __future__ import annotations

from typing import Final

from snowflake.connector import errors

from fleet_q.core.errors import StoreError, StoreUnavailable

LOST_SESSION: Final = {390111, 390112, 390114, 390103, 390104, 390195, 390302}
"""The session, or its token, is no more; signing in again makes a new one."""

NO_SUCH_OBJECT: Final = 2003
"""It does not exist, or the role may not know of it."""

NO_PRIVILEGE: Final = 3001

_PASSING: Final = LOST_SESSION | {
    603,  # internal error, to be tried again
    604,  # the statement was cancelled
    625,  # more than 20 statements wait for the lock
    630,  # the statement took longer than allowed
    8503,  # the warehouse is being resumed
    90073,  # the warehouse cannot be resumed at the moment
    90001,
    250001,  # no connection
    250003,  # a request failed
    251001,  # an HTTP error
    261000,
}
_ADVICE: Final = {
    NO_SUCH_OBJECT: "make the tables with: fleet-q schema --store snowflake:// --apply",
    2043: "make the tables with: fleet-q schema --store snowflake:// --apply",
    NO_PRIVILEGE: "grant the role what fleet-q schema prints",
    390100: "check SNOWFLAKE_USER and its password, key or token",
    390144: "check the key pair: the public key of SNOWFLAKE_PRIVATE_KEY_FILE is not the user's",
    390201: "check SNOWFLAKE_DATABASE, SNOWFLAKE_SCHEMA and SNOWFLAKE_WAREHOUSE",
    606: "name a warehouse that the role may use: SNOWFLAKE_WAREHOUSE",
}


def is_lost(error: errors.Error) -> bool:
    """Whether the session cannot be gone on with."""
    return error.errno in LOST_SESSION or isinstance(error, errors.InterfaceError)


def is_passing(error: errors.Error) -> bool:
    """Whether the same may work when it is tried again."""
    return error.errno in _PASSING or is_lost(error)


def translated(error: errors.Error) -> StoreError:
    """The error in the core's words: one line, which says what to do where that is known."""
    if is_passing(error):
        return StoreUnavailable(_line(error))
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


def _line(error: errors.Error) -> str:
    return f"Snowflake: {' '.join((error.raw_msg or error.msg or str(error)).split())}"
