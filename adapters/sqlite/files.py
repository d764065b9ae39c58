"""The file of a store, and the two that SQLite keeps beside it while it is in use.

``-wal`` holds what was committed and is not in the file yet, ``-shm`` the locks on it
(https://www.sqlite.org/walformat.html). Who deletes one of them splits the store in two: those that
have it open go on with what was deleted, and who comes later begins a new one.
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

from fleet_q.core.errors import StoreError

Identity = tuple[int, int]
"""A device and an inode."""

_PAUSE: Final = 0.01

_WAL_MAGIC: Final = {b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"}
"""https://www.sqlite.org/fileformat2.html, 4.1"""

# https://www.sqlite.org/src/file/src/os.h: where connections that use a file lock it
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
        """From now on these very files have to be there."""
        beside = os.path.realpath(self.path)  # SQLite names them after the file, not the link
        self._wal = f"{beside}-wal"
        names = [str(self.path), self._wal, f"{beside}-shm"]
        self._known = [(name, found) for name in names if (found := identity(name)) is not None]
        key = id(self)
        _in_use[key] = weakref.ref(self, lambda _: _in_use.pop(key, None))

    def forget(self) -> None:
        """Nothing is open any more."""
        self._known = []
        _in_use.pop(id(self), None)

    def forget_beside(self) -> None:
        """The file is not open for a while, and what SQLite keeps beside it may go."""
        self._known = self._known[:1]

    def check_main(self) -> None:
        """Raise :class:`StoreError` if the file itself is not where it was. A deleted file would
        go on taking steps that nobody else, and nobody later, can see."""
        if self._known and self._is_lost(*self._known[0]):
            raise StoreError(f"{deleted(self.path)}; put it back or start again without it")

    def is_main_emptied(self) -> bool:
        """Whether something else has emptied the file itself, which in use has a page at least."""
        try:
            return bool(self._known) and os.stat(self.path).st_size == 0
        except OSError:
            return False

    def uses(self, main: Identity | None) -> bool:
        """Whether the file itself is this one."""
        return bool(self._known) and self._known[0][1] == main

    def lost(self) -> str | None:
        """Which of the files beside the file was deleted or replaced, if any, while that itself is
        where it was."""
        if not self._known or self._is_lost(*self._known[0]):
            return None
        return next((name for name, known in self._known[1:] if self._is_lost(name, known)), None)

    def wal_size(self) -> int | None:
        """The bytes of ``-wal``; ``None`` if it is not there, or another one."""
        try:
            found = os.stat(self._wal)
        except OSError:
            return None
        return found.st_size if (self._wal, (found.st_dev, found.st_ino)) in self._known else None

    def is_wal_overwritten(self) -> bool:
        """Whether something else than SQLite emptied or wrote ``-wal``, which has a header unless
        it is empty. Opening it for that harms no lock: there are none on this file."""
        try:
            with open(self._wal, "rb", buffering=0) as file:
                head = file.read(4)
        except OSError:
            return False
        return len(head) == 4 and head not in _WAL_MAGIC

    def can_be_completed(self) -> bool:
        """Whether nobody has begun new files in the place of those that were deleted."""
        return all(identity(name) in (None, known) for name, known in self._known[1:])

    def _is_lost(self, name: str, known: Identity) -> bool:
        """What may not be looked at counts as there: who has it open can go on."""
        try:
            return identity(name) != known
        except OSError:
            return False

    def wait_for_all(self, patience: float) -> None:
        """Before the first use of a file that was just opened: if others use it, what they keep
        beside it has to be there. Raises :class:`StoreError` if it is not after ``patience``
        seconds; a file that is being made, or left by the last of them, passes before."""
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
                    f"{f' (one has the id {user})' if user else ''}: they save what they can"
                )
            time.sleep(_PAUSE)


def identity(path: str | Path) -> Identity | None:
    """What is at a path, ``None`` if nothing is."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def deleted(name: str | Path) -> str:
    """How the loss of a file is told."""
    return f"{name} was deleted, or replaced by another file, while it was in use"


def _user(main: Identity | None) -> int | None:
    """The process id of another process that uses a file in WAL mode; 0 if it cannot be told,
    ``None`` if there is no such process.

    Asked through the descriptor that SQLite itself has: closing one of our own would take SQLite's
    locks away (https://www.sqlite.org/howtocorrupt.html, 2.2)."""
    descriptor = _descriptor_of(main)
    if descriptor is None or os.pread(descriptor, 2, 18) != b"\2\2":
        return None
    lock = {"type": fcntl.F_WRLCK, "whence": os.SEEK_SET, "pid": 0}
    lock |= {"start": _SHARED_FIRST, "len": _SHARED_SIZE}
    asked = struct.pack(_FLOCK, *(lock[name] for name in _FLOCK_FIELDS))
    found = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    lock = dict(zip(_FLOCK_FIELDS, found, strict=True))
    return None if lock["type"] == fcntl.F_UNLCK else max(0, lock["pid"])


def _descriptor_of(main: Identity | None) -> int | None:
    for name in os.listdir("/dev/fd"):
        try:
            found = os.stat(int(name))
        except OSError:  # the listing's own
            continue
        if (found.st_dev, found.st_ino) == main:
            return int(name)
    return None


_in_use: Final[dict[int, weakref.ref[StoreFiles]]] = {}
"""The files that stores of this process have open, by their objects' ids."""
