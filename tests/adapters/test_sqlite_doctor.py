"""The doctor's look at a SQLite file."""

from __future__ import annotations

import errno
import itertools
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from fleet_q.adapters.diagnosis import Finding
from fleet_q.adapters.sqlite import doctor as sqlite_doctor
from fleet_q.adapters.sqlite.start_files import StartFiles
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.step import Submit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    SqliteStore(tmp_path / "jobs.db").close()
    return tmp_path / "jobs.db"


def look(path: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in sqlite_doctor.examination(path)}


def verdicts(found: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.verdict for name, finding in found.items()}


def test_a_healthy_file_is_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        before = list(connection.iterdump())
        assert set(verdicts(look(path)).values()) == {"ok"}
        assert list(connection.iterdump()) == before


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    found = look(tmp_path / "jobs.db")
    assert found["file"].verdict == "fail"
    assert found["file"].fix == "fleet-q worker"
    assert found["latency"].verdict == "skipped"
    assert list(tmp_path.iterdir()) == []


def test_a_store_from_the_future_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    found = look(path)
    assert (found["version"].verdict, "99" in found["version"].message) == ("fail", True)
    assert (found["write"].verdict, found["WAL"].verdict) == ("skipped", "skipped")


def test_another_programs_file_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database, but longer than the header of one\n" * 9)
    assert "not an SQLite database" in look(tmp_path / "notes.db")["version"].message
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE theirs (id)")
    assert "another program's" in look(tmp_path / "other.db")["version"].message


def test_a_file_without_tables_is_not_made_one(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").touch()
    found = look(tmp_path / "jobs.db")
    assert (found["version"].verdict, found["version"].fix) == ("fail", "fleet-q worker")
    assert (tmp_path / "jobs.db").stat().st_size == 0


def test_files_of_started_steps_are_counted_and_left_alone(path: Path) -> None:
    files = StartFiles(path)
    for incarnation in ("dead", "running"):
        file = files.open(incarnation)
        assert file is not None
        if incarnation == "dead":
            file.close(is_needed=True)
    before = sorted(path.parent.iterdir())
    found = look(path)["starts"]
    assert (found.verdict, "1 of running pods, 1 of dead ones" in found.message) == ("ok", True)
    assert f"{path}-begun-*" in found.message
    assert sorted(path.parent.iterdir()) == before


def test_it_warns_if_started_steps_cannot_be_recorded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)  # as some network file systems do
    found = look(path)["starts"]
    assert found.verdict == "warn"
    assert "all its steps on their last try fail" in found.message
    assert [each.name for each in path.parent.iterdir() if "begun" in each.name] == []


def test_without_wal_it_warns(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    found = look(path)
    assert (found["WAL"].verdict, found["latency"].verdict) == ("warn", "ok")


def test_a_file_that_may_not_be_written_to_fails() -> None:
    with tempfile.TemporaryDirectory() as folder, unprivileged(Path(folder)):
        path = Path(folder) / "jobs.db"
        SqliteStore(path).close()
        path.chmod(0o444)
        found = look(path)
        path.chmod(0o644)
    assert (found["write"].verdict, found["latency"].verdict) == ("fail", "skipped")
    assert "write permission" in found["write"].message


def test_slow_commits_are_a_warning(path: Path) -> None:
    ticks = itertools.count()
    found = list(sqlite_doctor.examination(path, clock=lambda: float(next(ticks))))
    assert (found[-1].check, found[-1].verdict) == ("latency", "warn")
    assert found[-1].message == "1000.00 ms a commit"


def test_a_deleted_wal_that_is_in_use_is_told_and_no_new_one_made(path: Path) -> None:
    script = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM step_tracker").fetchone()
print("open", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        assert look(path)["in use"].verdict == "ok"
        path.with_name("jobs.db-wal").unlink()
        found = look(path)
        assert not path.with_name("jobs.db-wal").exists()
        other.stdin.close()
    assert (found["in use"].verdict, found["version"].verdict) == ("fail", "skipped")
    assert "jobs.db-wal was deleted" in found["in use"].message
    assert f"one has the id {other.pid}" in found["in use"].message


def test_a_large_wal_is_a_warning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_doctor, "LARGE_WAL", 0)
    with closing(SqliteStore(path)) as store:
        store.submit([Submit("step", "{}")])
        found = look(path)["WAL"]
    assert (found.verdict, "reading for long" in found.message) == ("warn", True)


def test_few_descriptors_are_a_warning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (80, 80))
    found = look(path)["descriptors"]
    assert (found.verdict, found.fix) == ("warn", "ulimit -n 1024")


def test_no_temporary_folder_is_a_warning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(path / "none"))
    assert look(path)["temp"].verdict == "warn"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/jobs.db", "ext4"),
        ("/srv/jobs.db", "nfs4"),
        ("/srv/local/jobs.db", "xfs"),
        ("/srvice/jobs.db", "ext4"),
        ("/mnt/my share/jobs.db", "cifs"),
    ],
)
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    mounts = (
        "overlay / overlay rw 0 0\n"
        "/dev/sda1 / ext4 rw 0 0\n"
        "server:/srv /srv nfs4 rw 0 0\n"
        "/dev/sdb1 /srv/local xfs rw 0 0\n"
        "//server/share /mnt/my\\040share cifs rw 0 0\n"
    )
    assert sqlite_doctor.filesystem(Path(path), mounts) == kind


def test_a_file_on_a_network_is_a_warning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = path.parent / "mounts"
    mounts.write_text("server:/ / nfs4 rw 0 0\n")
    monkeypatch.setattr(sqlite_doctor, "_MOUNTS", mounts)
    found = look(path)
    assert (found["disk"].verdict, found["latency"].verdict) == ("warn", "ok")


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """As somebody to whom the rights of files apply, if that is not so anyway."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    os.chown(folder, nobody, nobody)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)
