"""What a power cut may leave."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.crash.power import Picture

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


def test_nothing_of_the_log_is_sure_before_a_checkpoint(
    path: Path, writer: sqlite3.Connection
) -> None:
    _insert(writer, 20)
    assert Picture.take(path).synced == 32


def test_what_a_checkpoint_has_copied_is_sure(path: Path, writer: sqlite3.Connection) -> None:
    _insert(writer, 20)
    before = len(Picture.take(path).log)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute(ROWS).fetchone()
        _insert(writer, 20)
        writer.execute("PRAGMA wal_checkpoint(PASSIVE)")  # no further than what the reader sees
        picture = Picture.take(path)
    assert picture.synced == before < len(picture.log)


def test_the_file_opens_with_some_first_part_of_what_was_committed(
    path: Path, writer: sqlite3.Connection, tmp_path: Path
) -> None:
    chance = Random(1)
    _insert(writer, 30)
    picture = Picture.take(path)
    found = set()
    for number in range(40):
        left = picture.leave(tmp_path / str(number), chance)
        with closing(sqlite3.connect(left)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            found.add(connection.execute(ROWS).fetchone()[0] if tables else -1)
    assert len(found) > 10
    assert max(found) == 30
