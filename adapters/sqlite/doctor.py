"""The checks of ``fleet-q doctor`` for a SQLite store."""

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
from fleet_q.adapters.sqlite.migrate import APPLICATION_ID, SCHEMA_VERSION, file_info, version
from fleet_q.adapters.sqlite.open import BUSY_TIMEOUT, WAL_LIMIT, version_fault
from fleet_q.adapters.sqlite.start_files import MARK, StartFiles

REMOTE: Final = {
    "9p", "afs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "lustre", "nfs", "nfs4", "smb3",
    "smbfs", "virtiofs",
}  # fmt: skip
"""Network file systems, on which processes of several machines corrupt a database in WAL mode, as
it uses shared memory: https://www.sqlite.org/wal.html."""

SLOWEST: Final = 0.05
"""Seconds for a commit above which the file is very busy."""

LARGE_WAL: Final = 4 * WAL_LIMIT
FEW_DESCRIPTORS: Final = 256
SMALL_FILE: Final = 65_536

ROUNDS: Final = 5

_MOUNTS: Final = Path("/proc/self/mounts")


def examination(path: Path, clock: Callable[[], float] = time.perf_counter) -> Iterator[Finding]:
    """Run all checks and yield their findings. ``clock`` counts seconds. The file is never created,
    and no row is changed."""
    checks = _Checks(path, clock)
    return examine(
        [
            Check("SQLite", checks.library),
            Check("descriptors", checks.descriptors),
            Check("temp", checks.temporary_folder),
            Check("file", checks.file),
            Check("disk", checks.disk, ("file",)),
            Check("in use", checks.in_use, ("file",)),
            Check("version", checks.version, ("in use", "SQLite")),
            Check("write", checks.write, ("version",)),
            Check("WAL", checks.wal, ("version",)),
            Check("starts", checks.starts, ("write",)),
            Check("latency", checks.latency, ("write",)),
        ]
    )


def filesystem(path: Path, mounts: str) -> str | None:
    """The type of the file system that contains ``path``. ``mounts`` is the text of
    ``/proc/self/mounts``; the last of several mounts on one folder counts."""
    innermost, depth = None, -1
    for line in mounts.splitlines():
        _, folder, kind, *_ = line.split(" ")
        root = Path(folder.encode().decode("unicode_escape"))  # a space is written \040
        if path.is_relative_to(root) and len(root.parts) >= depth:
            innermost, depth = kind, len(root.parts)
    return innermost


class _Checks:
    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock

    def library(self) -> Diagnosis:
        if (too_old := version_fault()) is not None:
            return fail(too_old, "use a Python with a newer SQLite")
        return ok(sqlite3.sqlite_version)

    def file(self) -> Diagnosis:
        if not self._path.exists():
            return fail(
                f"{self._path} does not exist; the first pod or submission creates it",
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
        return ok(kind or "the file system is unknown; it must be a local one")

    def in_use(self) -> Diagnosis:
        with self._connected(configure=False):
            StoreFiles(self._path.absolute()).wait_for_all(0)
        return ok("not in use, or with its -wal and -shm in place")

    def version(self) -> Diagnosis:
        with self._connected() as connection:
            info = file_info(connection)
        if info.is_empty:
            return fail(
                "the file is empty; the first pod or submission creates the tables",
                "fleet-q worker",
            )
        if info.application_id != APPLICATION_ID:
            return fail(
                "the file is another program's database", "export FLEET_Q_STORE=sqlite:///..."
            )
        if info.version > SCHEMA_VERSION:
            return fail(
                f"{info.version}, and this FLEET-Q knows {SCHEMA_VERSION}", "pip install -U fleet-q"
            )
        if info.version < SCHEMA_VERSION:
            return warn(
                f"{info.version}; the next pod or command that opens the file migrates it to"
                f" {SCHEMA_VERSION}, after which an older FLEET-Q refuses it",
                "fleet-q queue",
            )
        return ok(str(info.version))

    def write(self) -> Diagnosis:
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            _rewrite_version(connection)
            connection.execute("ROLLBACK")
        return ok("writable; the test write was rolled back")

    def wal(self) -> Diagnosis:
        with self._connected() as connection:
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if mode != "wal":
            return warn(
                f"off ({mode}), so that readers and writers wait for each other",
                "fleet-q queue",
            )
        wal_file = Path(f"{os.path.realpath(self._path)}-wal")
        size = wal_file.stat().st_size if wal_file.exists() else 0
        if size > LARGE_WAL:
            return warn(
                f"on; {wal_file} has {size >> 20} MiB, so a process has been reading for long; the"
                " first commit after that read truncates it",
                f"fuser {self._path}",
            )
        return ok(f"on, {size >> 20} MiB")

    def starts(self) -> Diagnosis:
        """Pods work without start records, but then the steps of a killed pod on their last try
        fail."""
        files = StartFiles(self._path)
        incarnations, dead = files.incarnations(), files.left_behind()
        file = files.open(token_urlsafe(12))
        if file is None:
            return warn(
                "pods cannot record here which steps have started: if one is killed, all its steps"
                " on their last try fail",
                "move the file to a local disk whose folder pods may write to",
            )
        file.close(is_needed=False)
        return ok(
            f"recorded in {os.path.realpath(self._path)}{MARK}*: {len(incarnations) - len(dead)} of"
            f" running pods, {len(dead)} of dead ones, which the leader removes"
        )

    def descriptors(self) -> Diagnosis:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit != resource.RLIM_INFINITY and limit < FEW_DESCRIPTORS:
            return warn(f"a process may have only {limit} files open", "ulimit -n 1024")
        return ok("unlimited" if limit == resource.RLIM_INFINITY else f"up to {limit}")

    def temporary_folder(self) -> Diagnosis:
        """FLEET-Q needs no temporary folder, but tasks and SQLite's VACUUM do."""
        try:
            with tempfile.TemporaryFile() as file:
                file.write(bytes(SMALL_FILE))
        except OSError as error:
            return warn(f"cannot be written to: {error.strerror or error}", "export TMPDIR=...")
        return ok(tempfile.gettempdir())

    def latency(self) -> Diagnosis:
        durations = []
        with self._connected() as connection:
            for _ in range(ROUNDS):
                started = self._clock()
                connection.execute("BEGIN IMMEDIATE")
                _rewrite_version(connection)
                connection.execute("COMMIT")
                durations.append(self._clock() - started)
        typical = median(durations)
        message = f"{typical * 1000:.2f} ms a commit"
        if typical > SLOWEST:
            return warn(
                message, "see what else writes to the disk, or use fewer pods on this one file"
            )
        return ok(message)

    @contextmanager
    def _connected(self, *, configure: bool = True) -> Iterator[sqlite3.Connection]:
        """A connection. With ``configure`` false nothing has been read from the file yet."""
        uri = f"{self._path.resolve().as_uri()}?mode=rw"  # never creates the file
        with (
            translated(self._path, opening=True),
            closing(
                sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)
            ) as connection,
        ):
            if configure:
                connection.execute("PRAGMA synchronous = NORMAL")
            yield connection


def _rewrite_version(connection: sqlite3.Connection) -> None:
    """A write that changes nothing."""
    connection.execute(f"PRAGMA user_version = {version(connection)}")
