"""Translates SQLite's errors: ``StoreUnavailable`` if a retry may succeed, else ``StoreError``."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from fleet_q.core.errors import DataRefused, StoreError, StoreUnavailable

# Primary result codes, https://www.sqlite.org/rescode.html
_TEMPORARY: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_PROTOCOL,
}
_TEMPORARY_ONCE_OPEN: Final = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
"""Temporary for a file that could be opened before: the process has no descriptor left, or the
file's permissions were changed."""

_ADVICE: Final = {
    sqlite3.SQLITE_CANTOPEN: "check that the folder exists and that you may write to it",
    sqlite3.SQLITE_READONLY: "write permission is needed for the file and for its folder",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database; name another one",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
}


class translated:
    """A context manager that raises SQLite's errors as ``StoreUnavailable`` or ``StoreError`` with
    the file's name.

    It is a class because idle pods enter it often, and a generator is slower."""

    __slots__ = ("_opening", "_path")

    def __init__(self, path: Path, *, opening: bool = False) -> None:
        self._path = path
        self._opening = opening

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, TRANSLATED):
            raise translation(self._path, error, opening=self._opening) from error


TRANSLATED: Final = (sqlite3.Error, MemoryError, OverflowError)
"""The classes of SQLite's errors. ``MemoryError`` (out of memory) and ``OverflowError`` (a value
too long for SQLite) have no code."""


def translation(path: Path, error: BaseException, *, opening: bool = False) -> StoreError:
    """The error to raise for one of ``TRANSLATED``. ``opening`` says that the file was being
    opened."""
    code = primary_code(error)
    if isinstance(error, MemoryError):
        return StoreUnavailable(f"{path}: out of memory")
    if code == sqlite3.SQLITE_TOOBIG or isinstance(error, OverflowError):
        return DataRefused(f"{path}: {error}: a value is larger than SQLite stores")
    is_moved = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_READONLY_DBMOVED
    if code in _TEMPORARY or (code in _TEMPORARY_ONCE_OPEN and not opening and not is_moved):
        return StoreUnavailable(f"{path}: {error}")
    advice = _ADVICE.get(code)
    return StoreError(f"{path}: {error}" + (f" ({advice})" if advice else ""))


def primary_code(error: BaseException) -> int:
    """The error's primary result code; 0 if it has none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
