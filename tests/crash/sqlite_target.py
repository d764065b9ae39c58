"""A SQLite file that a round disturbs."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Final

from fleet_q.adapters.sqlite.store import SqliteStore
from tests.crash import checks, tasks
from tests.crash.checks import Log
from tests.crash.client import Client
from tests.crash.fleet import Fleet, PodProcess
from tests.crash.plan import Act, DiskFull, Hog, Move, PowerCut
from tests.crash.power_cut import DiskImage
from tests.crash.schedule import Schedule
from tests.crash.work import Work
from tests.waiting import wait_until

CLIENT_PATIENCE: Final = 2.0
"""Seconds for which the round's own client waits for a lock before it repeats the request."""

LEAST_LIMIT: Final = 200_000
"""Bytes to which any file can grow while the disk is full, so that only the store fails."""

IMAGES: Final = 4
"""How many possible results of each power cut are checked."""

FRESH: Final = Work(10_000, "short")
"""The step that is run on the new file after the store's file was moved away."""

_FILES: Final = ("", "-wal", "-shm")


class SqliteTarget:
    """See :class:`tests.crash.target.Target`."""

    env: Mapping[str, str] = {}

    def __init__(self, folder: Path, schedule: Schedule, chance: Random) -> None:
        self.path = folder / "fleet.db"
        self.url = f"sqlite:///{self.path}"
        self.cuts: list[Path] = []
        self._folder = folder
        self._schedule = schedule
        self._chance = chance
        self._hogs: list[subprocess.Popen[bytes]] = []
        self._images: list[tuple[Path, Log]] = []
        self._limit: int | None = None

    def open(self) -> SqliteStore:
        return SqliteStore(self.path, busy_timeout=CLIENT_PATIENCE)

    def do(self, act: Act, fleet: Fleet, client: Client) -> list[str]:
        match act:
            case DiskFull(seconds, room):
                self._fill(fleet, room)
                self._schedule.after(seconds, lambda: self._make_room(fleet))
            case Hog(seconds, longest):
                hog = self._start_hog(longest)
                self._schedule.after(seconds, lambda: _end(hog))
            case Move(replaced):
                return self._move(fleet, client, replaced)
            case PowerCut():
                return self._cut_power(fleet, client)
            case _:
                raise ValueError(f"{act} does not disturb SQLite")
        return []

    def compare(self, log: Log) -> list[str]:
        return [
            f"{path.parent.name}: {fault}"
            for path, earlier in self._images
            for fault in checks.of_copy(earlier, log)
        ]

    def stop_disturbing(self) -> None:
        self.close()

    def close(self) -> None:
        for hog in self._hogs:
            _end(hog)

    def _fill(self, fleet: Fleet, room: int) -> None:
        log = Path(f"{self.path}-wal")
        size = log.stat().st_size if log.exists() else 0
        self._limit = max(size + room, LEAST_LIMIT)
        fleet.on_started = self._limit_size
        for process in fleet.alive:
            self._limit_size(process)

    def _make_room(self, fleet: Fleet) -> None:
        self._limit = None
        fleet.on_started = lambda _: None
        for process in fleet.alive:
            self._limit_size(process)

    def _limit_size(self, process: PodProcess) -> None:
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            soft = hard if self._limit is None else self._limit
            resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def _start_hog(self, longest: float) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("hog.py")
        command = [sys.executable, str(script), str(self.path), str(longest)]
        hog = subprocess.Popen([*command, str(self._chance.random())])
        self._hogs.append(hog)
        return hog

    def _move(self, fleet: Fleet, client: Client, replaced: bool) -> list[str]:
        """Move the file away; check that all pods end and that a pod works on a new file; move the
        file back."""
        with client.paused():
            self._schedule.finish()
            self.close()
            ending = fleet.alive
            for process in ending:
                process.causes.append("move")
                if not process.output:  # it may not have opened the file yet, and would not notice
                    process.signal(signal.SIGKILL)
            away = self._folder / "away"
            away.mkdir(exist_ok=True)
            _rename(self.path, away / self.path.name)
            if replaced:
                SqliteStore(self.path).close()
            faults = fleet.wait(ending)
            faults += self._run_on_new_file(fleet)
            _remove(self.path)
            _rename(away / self.path.name, self.path)
        fleet.put_off_all()
        return faults

    def _run_on_new_file(self, fleet: Fleet) -> list[str]:
        with contextlib.closing(SqliteStore(self.path)) as store:
            store.submit([FRESH.command])
            fresh = fleet.start("fresh", **{tasks.RUNS: str(self._folder / "runs-of-fresh")})
            wait_until(lambda: store.counts()["completed"] == 1)
            fresh.signal(signal.SIGTERM)
            faults = fleet.wait([fresh])
            faults += checks.of_work([FRESH], [], checks.read_log(store)) + checks.of_log(store)
        return [f"on a new file: {fault}" for fault in faults]

    def _cut_power(self, fleet: Fleet, client: Client) -> list[str]:
        with client.paused(), self._all_frozen(fleet):
            image = DiskImage.read(self.path)
        faults = []
        for _ in range(IMAGES):
            path = image.write_after_power_cut(self._folder / f"cut-{len(self.cuts)}", self._chance)
            self.cuts.append(path)
            faults += [f"{path.parent.name}: {fault}" for fault in self._check_copy(path)]
        return faults

    def _check_copy(self, path: Path) -> list[str]:
        copy = path.parent / "checked"
        copy.mkdir()
        for suffix in _FILES:
            if Path(f"{path}{suffix}").exists():
                shutil.copy(f"{path}{suffix}", copy)
        copied = copy / path.name
        # Opening the copy creates tables that the power cut lost.
        with contextlib.closing(SqliteStore(copied)) as store:
            log = checks.read_log(store)
            self._images.append((path, log))
            faults = checks.of_log(store)
        with contextlib.closing(sqlite3.connect(copied)) as connection:
            messages = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        return faults + [message for message in messages if message != "ok"]

    @contextlib.contextmanager
    def _all_frozen(self, fleet: Fleet) -> Iterator[None]:
        frozen = fleet.alive
        hogs = [hog for hog in self._hogs if hog.poll() is None]
        for process in frozen:
            process.freeze()
        for hog in hogs:
            hog.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, hog.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        for process in frozen:
            process.wait_until_frozen()
        yield
        for process in frozen:
            process.thaw()
        for hog in hogs:
            hog.send_signal(signal.SIGCONT)


def _end(hog: subprocess.Popen[bytes]) -> None:
    hog.kill()
    hog.wait()


def _rename(path: Path, to: Path) -> None:
    for suffix in _FILES:
        if Path(f"{path}{suffix}").exists():
            Path(f"{path}{suffix}").rename(f"{to}{suffix}")


def _remove(path: Path) -> None:
    for suffix in _FILES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)
