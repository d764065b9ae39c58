"""Start records: which claimed steps have begun, in a small file of each pod beside a SQLite store.

A claim is committed before its function begins, so after a pod was killed the store cannot tell
whether a claimed step had begun. The pod therefore appends a record to its file right before each
function begins. The record survives the process; the machine's boot id in the file's first line
reveals a power cut, which may lose records. The pod holds a lock on the file (flock(2)), which the
kernel releases when the process ends. So a claimed step certainly did not begin, and never will, if
the file exists, is of the current boot, is unlocked, and has no record of the claim. In any other
case nothing is known.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from fleet_q.adapters import fork
from fleet_q.adapters.sqlite.boot import boot_id
from fleet_q.core.errors import StartNotRecorded
from fleet_q.core.ports import Orphan
from fleet_q.core.step import Step

MARK: Final = "-begun-"
"""Between the store's name and the incarnation in a file's name."""

NEW: Final = ".new"
"""The suffix of a file that is about to replace the one without it."""

RECORD_BYTES: Final = 33

MOST_BYTES: Final = 1024 * 1024
"""Size above which a file is rewritten with the records of steps that are still claimed."""

CHECK_INTERVAL: Final = 1.0
"""Seconds between checks that the file is still at its path."""

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TRIES: Final = 5

# PyDLL keeps the interpreter's lock, which os.write would release: a kill between the record and
# the function counts as a started step, so no other thread should run in between.
_write: Final = ctypes.PyDLL(None).write
_write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
_write.restype = ctypes.c_ssize_t


class StartFiles:
    """The files beside the store at ``path``. See :class:`fleet_q.core.ports.StartRecords`."""

    def __init__(self, path: Path, *, boot: Callable[[], str | None] = boot_id) -> None:
        self._path = path
        self._boot = boot

    def open(self, incarnation: str) -> StartFile | None:
        boot = self._boot()
        path = self._file_of(incarnation)
        if boot is None or path is None:
            return None
        try:
            mode = os.stat(self._path).st_mode & 0o666
            return StartFile(path, boot, mode, self._file_of)
        except OSError:  # the folder or disk does not allow a new file
            return None

    def never_began(self, orphans: Sequence[Orphan]) -> set[str]:
        by_incarnation: dict[str, list[Orphan]] = {}
        for orphan in orphans:
            by_incarnation.setdefault(orphan.incarnation, []).append(orphan)
        step_ids: set[str] = set()
        for incarnation, claims in by_incarnation.items():
            begun = self._begun(incarnation)
            if begun is not None:
                step_ids.update(
                    claim.step_id
                    for claim in claims
                    if _record(claim.step_id, claim.claim_token) not in begun
                )
        return step_ids

    def left_behind(self) -> list[str]:
        return [i for i in self.incarnations() if self._is_left_behind(i)]

    def incarnations(self) -> list[str]:
        """The incarnations that have a file, running or not."""
        prefix = f"{os.path.basename(self._beside)}{MARK}"
        try:
            names = [n for n in os.listdir(os.path.dirname(self._beside)) if n.startswith(prefix)]
        except OSError:
            return []
        return sorted({name.removeprefix(prefix).removesuffix(NEW) for name in names})

    def remove(self, incarnations: Collection[str]) -> None:
        for incarnation in incarnations:
            if (path := self._file_of(incarnation)) is None:
                continue
            for name in (path, f"{path}{NEW}"):
                with suppress(OSError), _unlocked(name):
                    os.unlink(name)

    @property
    def _beside(self) -> str:
        return os.path.realpath(self._path)  # SQLite resolves links, too

    def _file_of(self, incarnation: str) -> str | None:
        """The path of an incarnation's file; ``None`` if the name is not safe in a path."""
        if _NAME.fullmatch(incarnation) is None:
            return None
        return f"{self._beside}{MARK}{incarnation}"

    def _is_left_behind(self, incarnation: str) -> bool:
        path = self._file_of(incarnation)
        if path is None:
            return False
        is_left_behind = False
        for name in (path, f"{path}{NEW}"):
            try:
                with _unlocked(name):
                    is_left_behind = True
            except FileNotFoundError:
                continue
            except OSError:
                return False
        return is_left_behind

    def _begun(self, incarnation: str) -> set[bytes] | None:
        """The records of an incarnation whose process has ended; ``None`` if nothing is known."""
        boot, path = self._boot(), self._file_of(incarnation)
        if boot is None or path is None:
            return None
        try:
            with _unlocked(path) as descriptor:
                return _read(descriptor, boot)
        except OSError:
            return None


class StartFile:
    """The file of a running pod. See :class:`fleet_q.core.ports.StartRecord`.

    After an error ``is_kept`` is false: the file is emptied or removed, so that nothing can be
    concluded from it, and steps begin without a record.
    """

    def __init__(
        self, path: str, boot: str, mode: int, file_of: Callable[[str], str | None]
    ) -> None:
        self.is_kept = True
        self._path = path
        self._boot = boot
        self._mode = mode
        self._file_of = file_of
        self._is_closed = False
        self._next_check = time.monotonic() + CHECK_INTERVAL
        self._lock = threading.Lock()
        self._descriptor: int | None = _create(path, boot, mode, [])
        self._size = 0
        fork.call_in_child(self._end_in_child)

    def add(self, step_id: str, claim_token: str) -> None:
        record = _record(step_id, claim_token)
        with self._lock:
            if self._descriptor is None:
                if self._is_closed:
                    raise StartNotRecorded(f"{self._path} is closed")
                return
            if self.is_kept and _write(self._descriptor, record, RECORD_BYTES) == RECORD_BYTES:
                self._size += RECORD_BYTES
                return
            self._give_up()

    def tidy(self, held: Iterable[Step]) -> None:
        now = time.monotonic()
        if self._size < MOST_BYTES and now < self._next_check:
            return
        self._next_check = now + CHECK_INTERVAL
        with self._lock:
            if self._descriptor is None or not self.is_kept:
                return
            try:
                if self._size >= MOST_BYTES or not _is_at(self._descriptor, self._path):
                    self._rewrite(self._descriptor, held)
            except OSError:
                with suppress(StartNotRecorded):
                    self._give_up()

    def begin(self, incarnation: str) -> None:
        with self._lock:
            if self._is_closed:
                return
            if self._descriptor is not None:
                with suppress(StartNotRecorded):
                    self._give_up()
                if self._descriptor is not None:
                    return  # the file could be neither emptied nor removed
            path = self._file_of(incarnation)
            if path is not None:
                with suppress(OSError):
                    self._descriptor = _create(path, self._boot, self._mode, [])
                    self._path, self._size, self.is_kept = path, 0, True

    def close(self, *, is_needed: bool) -> None:
        with self._lock:
            self._is_closed = True
            if self._descriptor is not None:
                if not is_needed:
                    with suppress(OSError):
                        self._unlink(self._descriptor)
                os.close(self._descriptor)
                self._descriptor = None

    def _give_up(self) -> None:
        """Empty or remove the file, so that nothing can be concluded from it. Raises
        :class:`StartNotRecorded` if neither works: no step may begin without a record then."""
        self.is_kept = False
        descriptor = self._descriptor
        assert descriptor is not None
        is_done = False
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            is_done = True
        with suppress(OSError):
            self._unlink(descriptor)
            is_done = True
        if not is_done:
            raise StartNotRecorded(f"{self._path} can be neither written to nor removed")
        os.close(descriptor)
        self._descriptor = None

    def _unlink(self, descriptor: int) -> None:
        if _is_at(descriptor, self._path):
            os.unlink(self._path)

    def _rewrite(self, old: int, held: Iterable[Step]) -> None:
        """Replace the file by one with the records of the steps that are still claimed. A kill
        leaves the old or the new file at the path, and both are locked while the process runs."""
        begun = _read(old, self._boot)
        if begun is None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        claimed = {_record(s.step_id, s.claim_token) for s in held if s.claim_token is not None}
        kept = sorted(begun & claimed)
        new = f"{self._path}{NEW}"
        with suppress(FileNotFoundError):
            os.unlink(new)
        self._descriptor = _create(new, self._boot, self._mode, kept, self._path)
        os.close(old)
        self._size = len(kept) * RECORD_BYTES

    def _end_in_child(self) -> None:
        """Close the file in a forked child, where no step begins. The lock remains the parent's."""
        self._lock = threading.Lock()
        self._is_closed = True
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _record(step_id: str, claim_token: str) -> bytes:
    text = f"{claim_token}\0{step_id}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16).hexdigest().encode() + b"\n"


def _header(descriptor: int, boot: str) -> bytes:
    """The first line of a file. It has the inode, since a copy of the file may lack later
    records."""
    status = os.fstat(descriptor)
    return f"fleet-q begun 1 {boot} {status.st_dev}:{status.st_ino}\n".encode()


def _create(path: str, boot: str, mode: int, records: Sequence[bytes], to: str = "") -> int:
    """Create a locked file with these records, and rename it to ``to`` if that is given."""
    for _ in range(_TRIES):
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, mode)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):  # no other pod removed it before it was locked
                text = b"".join([_header(descriptor, boot), *records])
                if os.write(descriptor, text) != len(text):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if to:
                    os.rename(path, to)
                return descriptor
        except BlockingIOError:
            _discard(descriptor, path)
            continue
        except BaseException:
            _discard(descriptor, path)
            raise
        os.close(descriptor)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _discard(descriptor: int, path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
    os.close(descriptor)


@contextmanager
def _unlocked(path: str) -> Iterator[int]:
    """Open a file that no running process has locked. Raises ``OSError`` if one has, or if the file
    was replaced meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if not _is_at(descriptor, path):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        yield descriptor
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _read(descriptor: int, boot: str) -> set[bytes] | None:
    """The records of a file; ``None`` if it is of another boot, a copy, or has an incomplete
    record."""
    header, size = _header(descriptor, boot), os.fstat(descriptor).st_size
    text = os.pread(descriptor, size, 0)
    records = text[len(header) :]
    if not text.startswith(header) or len(text) != size or len(records) % RECORD_BYTES:
        return None
    return {records[at : at + RECORD_BYTES] for at in range(0, len(records), RECORD_BYTES)}
