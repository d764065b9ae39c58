"""The files that a simulated power cut leaves are ones that a real one may leave."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.crash.power_cut import DiskImage

ROWS = "SELECT count(*) FROM t"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.db"


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE t (filler TEXT)")
        yield connection


def _insert(writer: sqlite3.Connection, rows: int) -> None:
    for _ in range(rows):
        writer.execute("INSERT INTO t VALUES (?)", ["x" * 3_000])


def test_before_a_checkpoint_only_the_wal_header_is_certain(
    path: Path, writer: sqlite3.Connection
) -> None:
    _insert(writer, 20)
    assert DiskImage.read(path).synced == 32


def test_frames_that_a_checkpoint_copied_are_certain(
    path: Path, writer: sqlite3.Connection
) -> None:
    _insert(writer, 20)
    before = len(DiskImage.read(path).wal)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute(ROWS).fetchone()
        _insert(writer, 20)
        writer.execute("PRAGMA wal_checkpoint(PASSIVE)")  # stops at the frames that the reader sees
        image = DiskImage.read(path)
    assert image.synced == before < len(image.wal)


def test_file_opens_with_a_prefix_of_the_commits(
    path: Path, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    chance = Random(1)
    _insert(writer, 30)
    image = DiskImage.read(path)
    found = set()
    for number in range(40):
        left = image.write_after_power_cut(tmp_path / str(number), chance)
        with closing(sqlite3.connect(left)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            found.add(connection.execute(ROWS).fetchone()[0] if tables else -1)
    assert len(found) > 10
    assert max(found) == 30
