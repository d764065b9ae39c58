"""What ``fleet-q doctor`` reports on a SQLite file, and that it changes nothing."""

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


def examine(path: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in sqlite_doctor.examination(path)}


def verdicts(findings: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.verdict for name, finding in findings.items()}


def test_doctor_finds_no_problem_in_a_healthy_file_and_changes_nothing(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        before = list(connection.iterdump())
        assert set(verdicts(examine(path)).values()) == {"ok"}
        assert list(connection.iterdump()) == before


def test_missing_file_fails_and_is_not_created(tmp_path: Path) -> None:
    findings = examine(tmp_path / "jobs.db")
    assert findings["file"].verdict == "fail"
    assert findings["file"].fix == "fleet-q worker"
    assert findings["latency"].verdict == "skipped"
    assert list(tmp_path.iterdir()) == []


def test_newer_schema_version_fails_and_skips_the_checks_that_write(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    findings = examine(path)
    assert (findings["version"].verdict, "99" in findings["version"].message) == ("fail", True)
    assert (findings["write"].verdict, findings["WAL"].verdict) == ("skipped", "skipped")


def test_file_of_another_program_fails(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database, but longer than the header of one\n" * 9)
    assert "not an SQLite database" in examine(tmp_path / "notes.db")["version"].message
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE theirs (id)")
    assert "another program's" in examine(tmp_path / "other.db")["version"].message


def test_file_without_tables_fails_and_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").touch()
    findings = examine(tmp_path / "jobs.db")
    assert (findings["version"].verdict, findings["version"].fix) == ("fail", "fleet-q worker")
    assert (tmp_path / "jobs.db").stat().st_size == 0


def test_start_files_are_counted_and_not_removed(path: Path) -> None:
    files = StartFiles(path)
    for incarnation in ("dead", "running"):
        file = files.open(incarnation)
        assert file is not None
        if incarnation == "dead":
            file.close(is_needed=True)
    before = sorted(path.parent.iterdir())
    finding = examine(path)["starts"]
    assert (finding.verdict, "1 of running pods, 1 of dead ones" in finding.message) == ("ok", True)
    assert f"{path}-begun-*" in finding.message
    assert sorted(path.parent.iterdir()) == before


def test_start_file_that_cannot_be_locked_is_a_warning(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)  # as some network file systems do
    finding = examine(path)["starts"]
    assert finding.verdict == "warn"
    assert "all its steps on their last try fail" in finding.message
    assert [file.name for file in path.parent.iterdir() if "begun" in file.name] == []


def test_journal_mode_other_than_wal_is_a_warning(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    findings = examine(path)
    assert (findings["WAL"].verdict, findings["latency"].verdict) == ("warn", "ok")


def test_read_only_file_fails() -> None:
    with tempfile.TemporaryDirectory() as folder, unprivileged(Path(folder)):
        path = Path(folder) / "jobs.db"
        SqliteStore(path).close()
        path.chmod(0o444)
        findings = examine(path)
        path.chmod(0o644)
    assert (findings["write"].verdict, findings["latency"].verdict) == ("fail", "skipped")
    assert "write permission" in findings["write"].message


def test_slow_commits_are_a_warning(path: Path) -> None:
    ticks = itertools.count()
    findings = list(sqlite_doctor.examination(path, clock=lambda: float(next(ticks))))
    assert (findings[-1].check, findings[-1].verdict) == ("latency", "warn")
    assert findings[-1].message == "1000.00 ms a commit"


def test_deleted_wal_in_use_fails_and_no_new_one_is_created(path: Path) -> None:
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
        assert examine(path)["in use"].verdict == "ok"
        path.with_name("jobs.db-wal").unlink()
        findings = examine(path)
        assert not path.with_name("jobs.db-wal").exists()
        other.stdin.close()
    assert (findings["in use"].verdict, findings["version"].verdict) == ("fail", "skipped")
    assert "jobs.db-wal was deleted" in findings["in use"].message
    assert f"one has the id {other.pid}" in findings["in use"].message


def test_large_wal_is_a_warning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_doctor, "LARGE_WAL", 0)
    with closing(SqliteStore(path)) as store:
        store.submit([Submit("step", "{}")])
        finding = examine(path)["WAL"]
    assert (finding.verdict, "reading for long" in finding.message) == ("warn", True)


def test_low_limit_of_file_descriptors_is_a_warning(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (80, 80))
    finding = examine(path)["descriptors"]
    assert (finding.verdict, finding.fix) == ("warn", "ulimit -n 1024")


def test_missing_temporary_folder_is_a_warning(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(path / "none"))
    assert examine(path)["temp"].verdict == "warn"


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
def test_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    mounts = (
        "overlay / overlay rw 0 0\n"
        "/dev/sda1 / ext4 rw 0 0\n"
        "server:/srv /srv nfs4 rw 0 0\n"
        "/dev/sdb1 /srv/local xfs rw 0 0\n"
        "//server/share /mnt/my\\040share cifs rw 0 0\n"
    )
    assert sqlite_doctor.filesystem(Path(path), mounts) == kind


def test_file_on_a_network_file_system_is_a_warning(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = path.parent / "mounts"
    mounts.write_text("server:/ / nfs4 rw 0 0\n")
    monkeypatch.setattr(sqlite_doctor, "_MOUNTS", mounts)
    findings = examine(path)
    assert (findings["disk"].verdict, findings["latency"].verdict) == ("warn", "ok")


@contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Run the body as ``nobody`` if this process is root, to whom file permissions do not apply."""
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
