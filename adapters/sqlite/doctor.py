"""What the doctor looks at in a SQLite store, and what mends it."""

from __future__ import annotations

import os
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from secrets import token_urlsafe
from statistics import median
from typing import Final

from fleet_q.adapters.diagnosis import Check, Diagnosis, Finding, examine, fail, ok, warn
from fleet_q.adapters.sqlite.errors import translated
from fleet_q.adapters.sqlite.files import StoreFiles
from fleet_q.adapters.sqlite.migrate import APPLICATION_ID, SCHEMA_VERSION, version
from fleet_q.adapters.sqlite.open import WAL_LIMIT
from fleet_q.adapters.sqlite.start_files import MARK, StartFiles
from fleet_q.adapters.sqlite.store import BUSY_TIMEOUT, OLDEST_SQLITE
from fleet_q.sql import load

REMOTE: Final = {
    "9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "lustre", "nfs", "nfs4", "smb3",
    "smbfs", "virtiofs",
}  # fmt: skip
"""File systems on which WAL, whose index is shared memory, does not work between machines:
https://www.sqlite.org/wal.html."""

SLOWEST: Final = 0.05
"""Seconds for a commit, which nothing but a very busy file takes."""

LARGE_WAL: Final = 4 * WAL_LIMIT
FEW_DESCRIPTORS: Final = 256
SMALL_FILE: Final = 65_536

ROUNDS: Final = 5

_MOUNTS: Final = Path("/proc/self/mounts")


def examination(path: Path, clock: Callable[[], float] = time.perf_counter) -> Iterator[Finding]:
    """Look at everything, one finding after the other. ``clock`` counts seconds. The file is not
    made if it is not there, and its rows are left alone."""
    look = _Look(path, clock)
    return examine(
        [
            Check("SQLite", look.library),
            Check("descriptors", look.descriptors),
            Check("temp", look.temporary_folder),
            Check("file", look.file),
            Check("disk", look.disk, ("file",)),
            Check("in use", look.in_use, ("file",)),
            Check("version", look.version, ("in use", "SQLite")),
            Check("write", look.write, ("version",)),
            Check("WAL", look.wal, ("version",)),
            Check("starts", look.starts, ("write",)),
            Check("latency", look.latency, ("write",)),
        ]
    )


def filesystem(path: Path, mounts: str) -> str | None:
    """The type of the file system that ``path`` is on; ``mounts`` is a text like
    ``/proc/self/mounts``, where the last of several mounts on one place counts."""
    found, depth = None, -1
    for line in mounts.splitlines():
        _, place, kind, *_ = line.split(" ")
        root = Path(place.encode().decode("unicode_escape"))  # a space is \040 there
        if path.is_relative_to(root) and len(root.parts) >= depth:
            found, depth = kind, len(root.parts)
    return found


class _Look:
    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock

    def library(self) -> Diagnosis:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            oldest = ".".join(map(str, OLDEST_SQLITE[:2]))
            return fail(
                f"{sqlite3.sqlite_version} is too old; {oldest} or later is needed",
                "use a Python with a newer SQLite",
            )
        return ok(sqlite3.sqlite_version)

    def file(self) -> Diagnosis:
        if not self._path.exists():
            return fail(
                f"there is none at {self._path}; a pod makes it, or the first step submitted",
                "fleet-q worker",
            )
        return ok(f"{self._path}, {self._path.stat().st_size} bytes")

    def disk(self) -> Diagnosis:
        kind = filesystem(self._path.resolve(), _MOUNTS.read_text()) if _MOUNTS.exists() else None
        if kind in REMOTE:
            return warn(
                f"the file is on {kind}; pods on two machines would corrupt it",
                "move the file to a local disk, and run all its pods on that machine",
            )
        return ok(kind or "not known here; a local one is needed")

    def in_use(self) -> Diagnosis:
        with self._connected(tidy=False):
            StoreFiles(self._path.absolute()).wait_for_all(0)
        return ok("by nobody, or with all the files that belong to it")

    def version(self) -> Diagnosis:
        with self._connected() as connection:
            whose, found, tables = connection.execute(load("sqlite", "file_identity")).fetchone()
        if (whose, found, tables) == (0, 0, 0):
            return fail("the file is empty; a pod makes the tables", "fleet-q worker")
        if whose != APPLICATION_ID:
            return fail(
                "the file is another program's database", "export FLEET_Q_STORE=sqlite:///..."
            )
        if found > SCHEMA_VERSION:
            return fail(
                f"{found}, and this FLEET-Q knows {SCHEMA_VERSION}", "pip install -U fleet-q"
            )
        if found < SCHEMA_VERSION:
            return warn(
                f"{found}; the next pod or command that opens the file migrates it to"
                f" {SCHEMA_VERSION}, after which an older FLEET-Q refuses it",
                "fleet-q queue",
            )
        return ok(str(found))

    def write(self) -> Diagnosis:
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            _write_what_is_there(connection)
            connection.execute("ROLLBACK")
        return ok("may be written to, tried and taken back")

    def wal(self) -> Diagnosis:
        with self._connected() as connection:
            mode = self._pragma(connection, "journal_mode")
        if mode != "wal":
            return warn(
                f"off ({mode}), so that readers and writers wait for each other",
                "fleet-q queue",
            )
        beside = Path(f"{os.path.realpath(self._path)}-wal")
        size = beside.stat().st_size if beside.exists() else 0
        if size > LARGE_WAL:
            return warn(
                f"on; {beside} has {size >> 20} MiB, so somebody has been reading for long; what"
                " they do not keep from it is given back at the next commit after that",
                f"fuser {self._path}",
            )
        return ok(f"on, {size >> 20} MiB")

    def starts(self) -> Diagnosis:
        """Pods do without the records, but a killed one then fails more steps than it must."""
        files = StartFiles(self._path)
        names, dead = files.incarnations(), files.left_behind()
        file = files.open(token_urlsafe(12))
        if file is None:
            return warn(
                "pods cannot record here which steps have started: if one is killed, all its steps"
                " on their last try fail",
                "move the file to a local disk whose folder pods may write to",
            )
        file.close(is_needed=False)
        return ok(
            f"recorded in {os.path.realpath(self._path)}{MARK}*: {len(names) - len(dead)} of"
            f" running pods, {len(dead)} of dead ones, which the leader removes"
        )

    def descriptors(self) -> Diagnosis:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit != resource.RLIM_INFINITY and limit < FEW_DESCRIPTORS:
            return warn(f"a process may have {limit} open, which is few", "ulimit -n 1024")
        return ok("any number" if limit == resource.RLIM_INFINITY else f"up to {limit}")

    def temporary_folder(self) -> Diagnosis:
        """FLEET-Q does without one, but functions and SQLite's VACUUM do not."""
        try:
            with tempfile.TemporaryFile() as file:
                file.write(bytes(SMALL_FILE))
        except OSError as error:
            return warn(f"cannot be written to: {error.strerror or error}", "export TMPDIR=...")
        return ok(tempfile.gettempdir())

    def latency(self) -> Diagnosis:
        took = []
        with self._connected() as connection:
            for _ in range(ROUNDS):
                begin = self._clock()
                connection.execute("BEGIN IMMEDIATE")
                _write_what_is_there(connection)
                connection.execute("COMMIT")
                took.append(self._clock() - begin)
        typical = median(took)
        says = f"{typical * 1000:.2f} ms a commit"
        if typical > SLOWEST:
            return warn(
                says, "see what else writes to the disk, or use fewer pods on this one file"
            )
        return ok(says)

    @contextmanager
    def _connected(self, *, tidy: bool = True) -> Iterator[sqlite3.Connection]:
        """Nothing is read from the file yet, unless ``tidy``."""
        uri = f"{self._path.resolve().as_uri()}?mode=rw"  # never makes the file
        with (
            translated(self._path, opening=True),
            closing(
                sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
            ) as connection,
        ):
            if tidy:
                connection.execute("PRAGMA synchronous = NORMAL")
            yield connection

    def _pragma(self, connection: sqlite3.Connection, name: str) -> str:
        return str(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _write_what_is_there(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA user_version = {version(connection)}")
