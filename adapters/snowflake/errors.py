"""Translates Snowflake's errors: ``StoreError`` if they are known to be fatal, ``DataRefused`` if
they are about a value, else ``StoreUnavailable``, so that the call is retried."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from snowflake.connector import errors

from fleet_q.core.errors import (
    DataRefused,
    StoreContended,
    StoreError,
    StoreUnavailable,
    UnknownStoreError,
)

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

_CUT_OFF: Final = 6
_TIMED_OUT: Final = 14
"""The errors of connector 5.x for an answer that was cut off, and for one that came too late."""

_PASSING: Final = LOST_SESSION | {
    _CUT_OFF,
    _TIMED_OUT,
    603,  # internal error, may be retried
    604,  # the statement was cancelled
    LOCKED,
    630,  # the statement took longer than allowed
    8503,  # the warehouse is being resumed
    90073,  # the warehouse cannot be resumed at the moment
}
_HTTP: Final = 580_000  # connector 4.x adds the HTTP status to this
_PASSING_STATUSES: Final = {408, 429, *range(500, 600)}
_FROM_CONNECTOR: Final = range(240_000, 390_000)  # numbers that the connector gives, not the server

_IN_PROCEDURE: Final = re.compile(
    r"Uncaught exception of type '\w+' on line \d+ at position \d+ ?: ?"
)
"""What Snowflake puts before the message of a statement that failed in a procedure. The number is
that of the statement's error."""

_CREATE_TABLES: Final = "create the tables with: fleet-q schema --store snowflake:// --apply"
CREATE_PROCEDURES: Final = (
    "create the procedures, and let the role call them, with:"
    " fleet-q schema --store snowflake:// --apply --role YOUR_ROLE"
)
_CHECK_KEY: Final = (
    "check the key pair: the public key of SNOWFLAKE_PRIVATE_KEY_FILE is not the user's, or this"
    " machine's clock is wrong"
)
_CHECK_ACCOUNT: Final = (
    "check SNOWFLAKE_ACCOUNT, and that Snowflake's network policy allows this machine"
)
_CHECK_ROLE: Final = "check SNOWFLAKE_ROLE, and that the user has that role"
_CHECK_USER: Final = "check SNOWFLAKE_USER and its password, key or token"
_CHECK_VERSION: Final = (
    "the tables are not those of this FLEET-Q's version: compare with fleet-q schema --status"
)
_NEW_TOKEN: Final = "check SNOWFLAKE_TOKEN, or the file that SNOWFLAKE_TOKEN_FILE_PATH names"
_WORKLOAD: Final = (
    "check SNOWFLAKE_WORKLOAD_IDENTITY_PROVIDER, and that this machine has the identity"
)
_CLIENT: Final = "check SNOWFLAKE_OAUTH_CLIENT_ID and SNOWFLAKE_OAUTH_CLIENT_SECRET"

FATAL: Final[Mapping[int, str]] = {
    # Statements. A retry finds the same objects, privileges and text.
    606: "name a warehouse that the role may use: SNOWFLAKE_WAREHOUSE",
    904: _CHECK_VERSION,  # a column does not exist
    1003: _CHECK_VERSION,  # a syntax error
    NO_SUCH_OBJECT: _CREATE_TABLES,
    2043: _CREATE_TABLES,  # the same, for statements that define objects
    # A procedure does not exist, takes other arguments, or the role may not call it.
    2140: CREATE_PROCEDURES,
    2141: CREATE_PROCEDURES,
    NO_PRIVILEGE: "grant the role the privileges that fleet-q schema prints",
    # Sign-in. A retry signs in with the same settings, until a restart reads others.
    390100: _CHECK_USER,
    390144: _CHECK_KEY,
    **dict.fromkeys(range(394300, 394308), _CHECK_KEY),
    390186: _CHECK_ROLE,
    390189: _CHECK_ROLE,
    390201: "check SNOWFLAKE_DATABASE, SNOWFLAKE_SCHEMA and SNOWFLAKE_WAREHOUSE",
    390303: _NEW_TOKEN,
    390318: _NEW_TOKEN,
    390422: _CHECK_ACCOUNT,
    390432: _CHECK_ACCOUNT,
    NO_SIGN_IN: _CHECK_ACCOUNT,
    290_000 + NO_SIGN_IN: _CHECK_ACCOUNT,  # with an HTTP status 403
    # The connector's own checks of its parameters.
    251001: _CHECK_ACCOUNT,
    251005: _CHECK_USER,
    251006: _CHECK_USER,
    251007: "check the SNOWFLAKE_ variables",
    251008: _CHECK_KEY,
    251013: _CLIENT,
    251017: _WORKLOAD,
    251018: _WORKLOAD,
    251020: _CLIENT,
    251021: _WORKLOAD,
}
"""The numbers of the only errors that stop a pod at once, each with what to do.

No other error does: Snowflake documents next to no numbers, not even those of a lock that was
waited for in vain and of a deadlock, so what is not known to be fatal may pass. Sources: 390144 and
394300 to 394307, https://docs.snowflake.com/en/user-guide/key-pair-auth-troubleshooting; 904, 1003,
2003 and 3001, examples of the documentation of Snowflake Scripting and native apps; 25xxxx, the
connector's ``errorcode.py``; the others, reports of users who saw number and message.
"""

_DATA: Final = {
    100069,  # a JSON text is too large
    100078,  # a text is too long for its column
}
"""Numbers of errors about a value. Source: reports of users who saw number and message."""


def is_lost(error: Failure) -> bool:
    """Whether the session cannot be used any more."""
    return error.errno in LOST_SESSION or isinstance(error, errors.InterfaceError)


def is_unanswered(error: Failure) -> bool:
    """Whether the connector got no answer, so that the statement may still run."""
    number = 0 if isinstance(error, OSError) else error.errno or 0
    return number in (0, _CUT_OFF, _TIMED_OUT) or number in _FROM_CONNECTOR or number > _HTTP


def is_temporary(error: Failure) -> bool:
    """Whether a retry may succeed: the error is not known to be fatal.

    If an answer was cut off, connector 4.x raises its HTTP library's ``OSError`` without a number;
    an ``OSError`` with a number is about a file of this machine.
    """
    if isinstance(error, OSError):
        return error.errno is None or isinstance(error, ConnectionError)
    number = error.errno or 0
    if number == NO_SIGN_IN and isinstance(error, errors.OperationalError):
        return True  # there was no answer
    return number not in FATAL and number not in _DATA


def translated(error: Failure) -> Exception:
    """The core's error for ``error``, with a message of one line and advice where there is some. An
    ``OSError`` of this machine is returned unchanged."""
    if error.errno == LOCKED:
        return StoreContended(one_line(error))
    if is_temporary(error):
        return _passing(error)
    if isinstance(error, OSError):
        return error
    number = error.errno or 0
    if number in _DATA:
        return DataRefused(one_line(error))
    return StoreError(f"{one_line(error)} ({FATAL[number]})")


def _passing(error: Failure) -> StoreUnavailable:
    """Without an answer, connectors raise ``OperationalError`` with various numbers."""
    number = error.errno or 0
    is_known = (
        isinstance(error, OSError | errors.OperationalError)
        or number in _PASSING
        or number - _HTTP in _PASSING_STATUSES
        or error.sqlstate == CANCELED
        or is_lost(error)
    )
    if is_known:
        return StoreUnavailable(one_line(error))
    return UnknownStoreError(f"{one_line(error)} (error {number:06}, which FLEET-Q does not know)")


def number(error: StoreError) -> int | None:
    """Snowflake's number of a translated error; ``None`` if it has none."""
    cause = error.__cause__
    return cause.errno if isinstance(cause, errors.Error) else None


def plain(error: StoreError) -> str:
    """The message of a translated error without the advice."""
    cause = error.__cause__
    return one_line(cause) if isinstance(cause, errors.Error) else str(error)


def advice(error: StoreError) -> str | None:
    """The advice for a translated error; ``None`` if there is none."""
    return FATAL.get(number(error) or 0)


def one_line(error: Failure) -> str:
    """The message of the connector's error in one line."""
    message = None if isinstance(error, OSError) else error.raw_msg or error.msg
    text = " ".join((message or str(error)).split())
    return f"Snowflake: {_IN_PROCEDURE.sub('', text)}"
