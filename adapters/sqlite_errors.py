"""What SQLite's error codes mean for a caller: try again, or mend something first."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from fleet_q.core.errors import StoreError, StoreUnavailable

# Primary result codes, https://www.sqlite.org/rescode.html
_PASSING: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_PROTOCOL,
}
_ADVICE: Final = {
    sqlite3.SQLITE_CANTOPEN: "check that the folder exists and that you may write to it",
    sqlite3.SQLITE_READONLY: "you need the right to write to the file and to its folder",
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database; name another one",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
}


class translated:
    """Raise SQLite's errors as ``StoreUnavailable`` or ``StoreError``, with the file named.

    A class, since an idle pod enters it all the time, and a generator costs more."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise translation(self._path, error) from error


def translation(path: Path, error: sqlite3.Error) -> StoreError:
    """The error to raise for one of SQLite's."""
    code = primary_code(error)
    if code in _PASSING:
        return StoreUnavailable(f"{path}: {error}")
    advice = _ADVICE.get(code)
    return StoreError(f"{path}: {error}" + (f" ({advice})" if advice else ""))


def primary_code(error: sqlite3.Error) -> int:
    """The error's primary result code, 0 if it has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
