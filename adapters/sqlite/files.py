"""The main file of a store, and the two that SQLite keeps beside it while it is in use.

``-wal`` has the commits that are not in the main file yet, ``-shm`` the locks on it
(https://www.sqlite.org/walformat.html). If one of them is deleted while in use, the store is split:
processes that have it open keep using the deleted file, and later ones create a new one.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import time
import weakref
from pathlib import Path
from typing import Final

from fleet_q.adapters.descriptors import open_files
from fleet_q.core.errors import StoreError

Identity = tuple[int, int]
"""A file's device and inode."""

_PAUSE: Final = 0.01

_WAL_MAGIC: Final = {b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"}
"""https://www.sqlite.org/fileformat2.html, 4.1"""

# https://www.sqlite.org/src/file/src/os.h: the bytes that connections lock while they use a file
_SHARED_FIRST: Final = 0x40000000 + 2
_SHARED_SIZE: Final = 510

_FLOCK, _FLOCK_FIELDS = (  # struct flock
    ("qqihh", ("start", "len", "pid", "type", "whence"))
    if sys.platform == "darwin"
    else ("hhqqi", ("type", "whence", "start", "len", "pid"))
)


class StoreFiles:
    """The files of one open store. ``path`` is absolute."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wal = ""
        self._known: list[tuple[str, Identity]] = []

    def remember(self) -> None:
        """Remember the files that are at the paths now, as those that this store has open."""
        beside = os.path.realpath(self.path)  # SQLite resolves links before it names them
        self._wal = f"{beside}-wal"
        names = [str(self.path), self._wal, f"{beside}-shm"]
        self._known = [(name, file) for name in names if (file := identity(name)) is not None]
        key = id(self)
        _in_use[key] = weakref.ref(self, lambda _: _in_use.pop(key, None))

    def forget(self) -> None:
        """Forget the files: the store has none open any more."""
        self._known = []
        _in_use.pop(id(self), None)

    def forget_beside(self) -> None:
        """Forget ``-wal`` and ``-shm``: SQLite may delete them while the store is closed."""
        self._known = self._known[:1]

    def check_main(self) -> None:
        """Raise :class:`StoreError` if the main file was deleted or replaced: steps written to a
        deleted file are invisible to every other process."""
        if self._known and self._is_lost(*self._known[0]):
            raise StoreError(f"{deleted(self.path)}; put it back or start again without it")

    def is_main_emptied(self) -> bool:
        """Whether another program emptied the main file. While in use it has at least one page."""
        try:
            return bool(self._known) and os.stat(self.path).st_size == 0
        except OSError:
            return False

    def uses(self, main: Identity | None) -> bool:
        """Whether ``main`` is the main file."""
        return bool(self._known) and self._known[0][1] == main

    def lost(self) -> str | None:
        """The name of ``-wal`` or ``-shm`` if that was deleted or replaced; ``None`` also if the
        main file was."""
        if not self._known or self._is_lost(*self._known[0]):
            return None
        return next((name for name, known in self._known[1:] if self._is_lost(name, known)), None)

    def wal_size(self) -> int | None:
        """The size of ``-wal`` in bytes; ``None`` if it was deleted or replaced."""
        try:
            status = os.stat(self._wal)
        except OSError:
            return None
        is_known = (self._wal, (status.st_dev, status.st_ino)) in self._known
        return status.st_size if is_known else None

    def is_wal_overwritten(self) -> bool:
        """Whether another program than SQLite wrote to ``-wal``, which begins with SQLite's magic
        number unless it is empty. Opening it here ends no lock: SQLite locks only ``-shm``."""
        try:
            with open(self._wal, "rb", buffering=0) as file:
                head = file.read(4)
        except OSError:
            return False
        return len(head) == 4 and head not in _WAL_MAGIC

    def can_be_completed(self) -> bool:
        """Whether no other process has created new files in place of the deleted ones."""
        return all(identity(name) in (None, known) for name, known in self._known[1:])

    def _is_lost(self, name: str, known: Identity) -> bool:
        """A file that cannot be examined counts as present: the store can continue to use it."""
        try:
            return identity(name) != known
        except OSError:
            return False

    def wait_for_all(self, patience: float) -> None:
        """Check, before a file that was just opened is first used, that ``-wal`` and ``-shm`` exist
        if other processes use it.

        Waits for up to ``patience`` seconds, since they are missing for a moment while another
        process opens the file first or closes it last; then raises :class:`StoreError`."""
        main = identity(self.path)
        for reference in list(_in_use.values()):
            other = reference()
            if other is not None and other.uses(main) and (lost := other.lost()):
                raise StoreError(f"{deleted(lost)}; end this process and start it again")
        beside = os.path.realpath(self.path)
        until = time.monotonic() + patience
        while missing := [n for n in ("-wal", "-shm") if not os.path.exists(f"{beside}{n}")]:
            user = _user(main)
            if user is None:
                return
            if time.monotonic() > until:
                raise StoreError(
                    f"{deleted(beside + missing[0])}; end the processes that have {self.path} open"
                    f"{f' (one has the id {user})' if user else ''}: they save their commits"
                )
            time.sleep(_PAUSE)


def identity(path: str | Path) -> Identity | None:
    """The identity of the file at a path; ``None`` if there is none."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def deleted(name: str | Path) -> str:
    """The message for a file that was deleted or replaced."""
    return f"{name} was deleted, or replaced by another file, while it was in use"


def _user(main: Identity | None) -> int | None:
    """The process id of another process that uses a file in WAL mode; 0 if the id is unknown,
    ``None`` if there is no such process.

    Uses SQLite's own descriptor: opening and closing another one would release SQLite's locks
    (https://www.sqlite.org/howtocorrupt.html, 2.2)."""
    descriptor = next((number for number, file in open_files() if file == main), None)
    if descriptor is None or os.pread(descriptor, 2, 18) != b"\2\2":
        return None
    lock = {"type": fcntl.F_WRLCK, "whence": os.SEEK_SET, "pid": 0}
    lock |= {"start": _SHARED_FIRST, "len": _SHARED_SIZE}
    query = struct.pack(_FLOCK, *(lock[name] for name in _FLOCK_FIELDS))
    answer = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, query))
    lock = dict(zip(_FLOCK_FIELDS, answer, strict=True))
    return None if lock["type"] == fcntl.F_UNLCK else max(0, lock["pid"])


_in_use: Final[dict[int, weakref.ref[StoreFiles]]] = {}
"""The files of the open stores of this process, by the id of the object."""
