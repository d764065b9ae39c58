"""The WAL and its index beside a store's file: their loss is detected, and the WAL stays small."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fleet_q.adapters.sqlite import database as sqlite_database
from fleet_q.adapters.sqlite import open as sqlite_open
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.errors import StoreError, StoreUnavailable
from fleet_q.core.step import Submit
from tests.adapters.insides import connection_of, database_of
from tests.adapters.test_sqlite_doctor import unprivileged
from tests.forking import Child
from tests.submitted import are_new


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sqlite_database, "FILE_CHECK_INTERVAL", 0)
    monkeypatch.setattr(sqlite_database, "WAL_CHECK_INTERVAL", 0)
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    store.submit([Submit("before", "{}")])
    yield store
    store.close()


def beside(path: Path, *ends: str) -> list[Path]:
    return [path.with_name(path.name + end) for end in ends]


def assert_whole(path: Path, *step_ids: str) -> None:
    """Check by another connection that the file is not corrupt and has these steps."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT step_id FROM step_tracker ORDER BY step_id").fetchall()
    assert rows == sorted((step_id,) for step_id in step_ids)


@pytest.mark.parametrize("ends", [("-wal",), ("-shm",), ("-wal", "-shm")])
@pytest.mark.parametrize("use", ["submit", "change_counter", "counts", "step_events"])
def test_deleted_wal_is_detected_and_its_commits_are_saved(
    store: SqliteStore, path: Path, ends: tuple[str, ...], use: str
) -> None:
    for file in beside(path, *ends):
        file.unlink()

    uses: dict[str, Callable[[], object]] = {
        "submit": lambda: store.submit([Submit("late", "{}")]),
        "change_counter": store.change_counter,
        "counts": store.counts,
        "step_events": lambda: list(store.step_events()),
    }
    for _ in range(2):
        with pytest.raises(
            StoreError, match=r"was deleted.* are saved in .*store\.db: start again"
        ):
            uses[use]()

    assert_whole(path, "before")


def test_commits_before_the_loss_of_the_wal_is_detected_are_saved(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "FILE_CHECK_INTERVAL", 60)
    monkeypatch.setattr(sqlite_database, "WAL_CHECK_INTERVAL", 60)
    store.counts()
    for file in beside(path, "-wal", "-shm"):
        file.unlink()

    store.submit([Submit("unseen", "{}")])
    store.close()

    assert_whole(path, "before", "unseen")


def test_store_can_be_opened_again_after_the_loss_of_its_wal(
    store: SqliteStore, path: Path
) -> None:
    beside(path, "-wal")[0].unlink()
    with pytest.raises(StoreError):
        store.counts()
    with closing(SqliteStore(path)) as again:
        assert are_new(again.submit([Submit("after", "{}")])) == [True]
    assert_whole(path, "before", "after")


def test_loss_of_the_wal_ends_every_store_that_has_the_file_open(
    store: SqliteStore, path: Path
) -> None:
    with closing(SqliteStore(path)) as other:
        for file in beside(path, "-wal", "-shm"):
            file.unlink()
        for client, name in ((store, "one"), (other, "two")):
            with pytest.raises(StoreError, match="are saved"):
                client.submit([Submit(name, "{}")])
    assert_whole(path, "before")


def test_no_new_wal_is_created_while_a_deleted_one_is_in_use(
    store: SqliteStore, path: Path
) -> None:
    beside(path, "-wal")[0].unlink()
    with pytest.raises(StoreError, match="end this process"):
        SqliteStore(path, busy_timeout=0)
    assert not beside(path, "-wal")[0].exists()


def test_wal_created_by_another_program_is_not_changed(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps of the deleted WAL are saved in another file."""
    monkeypatch.setattr(sqlite_database, "FILE_CHECK_INTERVAL", 60)
    store.submit([Submit("kept", "{}")])
    wal = beside(path, "-wal")[0]
    wal.unlink()
    wal.write_bytes(b"another one")

    with pytest.raises(StoreError, match="other processes have begun a new one") as raised:
        store.submit([Submit("late", "{}")])
    with pytest.raises(StoreError, match="other processes have begun a new one"):
        store.counts()

    assert wal.read_bytes() == b"another one"
    saved = next(path.parent.glob("store.db-saved-*"))
    assert str(saved) in str(raised.value)
    assert_whole(saved, "before", "kept", "late")


def test_wal_truncated_by_another_program_is_detected(path: Path) -> None:
    """Its commits cannot be saved, but the loss is an error, and the file is not corrupt."""
    SqliteStore(path).close()  # the tables are in the file
    store = SqliteStore(path)
    store.submit([Submit("lost", "{}")])
    os.truncate(beside(path, "-wal")[0], 0)
    for _ in range(2):
        with pytest.raises(StoreError, match="-wal was overwritten while it was in use"):
            store.submit([Submit("late", "{}")])
    store.close()
    script = "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1])\n"
    script += "print(connection.execute('PRAGMA integrity_check').fetchall())"
    checked = subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=True)
    assert checked.stdout == b"[('ok',)]\n"


@pytest.mark.parametrize("deleted", [(), ("-wal",)], ids=["alone", "with its WAL deleted"])
def test_file_truncated_while_in_use_ends_the_store_and_stays_empty(
    path: Path, deleted: tuple[Any, ...] | tuple[str, ...]
) -> None:
    store = SqliteStore(path)
    store.submit([Submit("lost", "{}")])
    os.truncate(path, 0)
    for name in beside(path, *deleted):
        os.unlink(name)
    for _ in range(2):
        with pytest.raises(StoreError, match="was emptied while it was in use"):
            store.submit([Submit("late", "{}")])
    store.close()
    assert os.path.getsize(path) == 0


def test_commits_that_cannot_be_saved_yet_are_saved_later(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read transaction prevents that the WAL is copied into the file."""
    monkeypatch.setattr(sqlite_database, "RESCUE_PATIENCE", 0)
    events = store.step_events()
    next(events)
    store.submit([Submit("during", "{}")])
    beside(path, "-wal")[0].unlink()
    for _ in range(2):
        with pytest.raises(
            StoreUnavailable, match="cannot be saved yet: other processes are using it"
        ):
            store.counts()
    assert isinstance(events, Generator)
    events.close()
    with pytest.raises(StoreError, match="are saved"):
        store.counts()
    assert_whole(path, "before", "during")


def test_wal_of_a_symbolic_link_is_that_of_its_target(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(path)
    with closing(SqliteStore(link)) as store:
        store.submit([Submit("step", "{}")])
        assert store.counts()["pending"] == 1
        beside(path, "-wal")[0].unlink()
        with pytest.raises(StoreError, match="was deleted"):
            store.counts()
    assert_whole(path, "step")


def test_wal_stays_small_while_others_read_briefly(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite by itself empties the WAL only when a checkpoint meets no reader."""
    monkeypatch.setattr(sqlite_database, "WAL_LIMIT", 300_000)
    largest = 0
    with closing(SqliteStore(path)) as store, closing(_reader(path)) as reader:
        for number in range(60):
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM step_tracker").fetchone()
            store.submit([Submit(f"{number} {n}", f'"{"x" * 4000}"') for n in range(10)])
            reader.execute("ROLLBACK")
            store.submit([Submit(f"{number} more", "{}")])
            largest = max(largest, beside(path, "-wal")[0].stat().st_size)
    assert largest < 1_000_000


def test_wal_shrinks_after_a_long_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_database, "WAL_LIMIT", 300_000)
    with closing(SqliteStore(path)) as store, closing(_reader(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM step_tracker").fetchone()
        for number in range(40):
            store.submit([Submit(f"{number} {n}", f'"{"x" * 4000}"') for n in range(10)])
        assert beside(path, "-wal")[0].stat().st_size > 1_000_000
        reader.execute("ROLLBACK")
        store.change_counter()  # as an idle pod does
        assert beside(path, "-wal")[0].stat().st_size == 0
        assert store.counts()["pending"] == 400


def test_connection_limits_the_wal_and_keeps_temporary_tables_in_memory(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        run = connection_of(store).execute
        assert run("PRAGMA journal_size_limit").fetchone() == (sqlite_open.WAL_LIMIT,)
        assert run("PRAGMA temp_store").fetchone() == (2,)  # memory


def test_lost_file_permissions_are_a_transient_error() -> None:
    """Open connections stay usable; opening another one can be retried."""
    with tempfile.TemporaryDirectory() as name, unprivileged(Path(name)):
        folder = Path(name)
        with closing(SqliteStore(folder / "store.db")) as store:
            database_of(store)._next_check = 0.0
            folder.chmod(0)
            try:
                assert are_new(store.submit([Submit("one", "{}")])) == [True]
                assert store.change_counter() is not None
                for open_another in (lambda: list(store.step_events()), Child(store.counts).ended):
                    try:
                        result = str(open_another())
                    except StoreUnavailable:
                        result = "StoreUnavailable"
                    assert result.startswith("StoreUnavailable")
                with pytest.raises(StoreUnavailable):
                    store.counts()  # since the fork it has no connection
            finally:
                folder.chmod(0o700)
            assert store.counts()["pending"] == 1


def _reader(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)
