"""The file of a store: whose it is, and how safely it is written."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from fleet_q.adapters.sqlite import database as sqlite_database
from fleet_q.adapters.sqlite import migrate as sqlite_migrate
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.errors import DataRefused, StoreError
from fleet_q.core.step import Submit
from tests.adapters.insides import connection_of


def _execute(path: Path, statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)


@pytest.mark.parametrize(
    "statements",
    [
        "CREATE TABLE notes (text); INSERT INTO notes VALUES ('mine')",
        "CREATE TABLE notes (text); PRAGMA user_version = 1",
        "PRAGMA user_version = 1",
        "PRAGMA application_id = 7",
        "CREATE TABLE step_tracker (mine)",
    ],
)
def test_another_programs_file_is_refused_and_stays_as_it_is(
    tmp_path: Path, statements: str
) -> None:
    path = tmp_path / "other.db"
    _execute(path, statements)
    before = path.read_bytes()

    with pytest.raises(StoreError, match="another program's database"):
        SqliteStore(path)

    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("make", [Path.touch, lambda path: _execute(path, sqlite_migrate.script())])
def test_an_empty_file_and_one_made_by_hand_are_stores(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "store.db"
    make(path)

    with closing(SqliteStore(path)) as store:
        assert store.submit([Submit("step", "{}")]) == [True]
    with closing(SqliteStore(path, create=False)) as store:
        assert store.counts()["pending"] == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_is_taken_away_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    monkeypatch.setattr(sqlite_database, "FILE_CHECK_INTERVAL", 0)
    path = tmp_path / "store.db"
    with closing(SqliteStore(path)) as store:
        store.submit([Submit("step", "{}")])
        if replaced:
            SqliteStore(tmp_path / "new.db").close()
            (tmp_path / "new.db").rename(path)
        else:
            path.unlink()
        for use in (
            store.change_counter,
            store.counts,
            lambda: store.submit([Submit("lost", "{}")]),
            lambda: list(store.step_events()),
        ):
            with pytest.raises(StoreError, match="deleted, or replaced"):
                use()
    assert path.exists() == replaced


def test_a_change_of_the_current_folder_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "FILE_CHECK_INTERVAL", 0)
    monkeypatch.chdir(tmp_path)
    with closing(SqliteStore("store.db")) as store:
        monkeypatch.chdir("/")
        store.submit([Submit("step", "{}")])
        assert len(list(store.step_events())) == 1


@pytest.mark.parametrize(("durability", "pragmas"), [("process", (1, 0)), ("power", (2, 1))])
def test_a_commit_survives_what_it_is_asked_to(
    tmp_path: Path, durability: Literal["process", "power"], pragmas: tuple[int, ...]
) -> None:
    """WAL with synchronous=NORMAL (1) or FULL (2): https://www.sqlite.org/pragma.html."""
    with closing(SqliteStore(tmp_path / "store.db", durability=durability)) as store:
        run = connection_of(store).execute
        assert run("PRAGMA journal_mode").fetchone() == ("wal",)
        synchronous, fullfsync = (
            run(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "fullfsync")
        )
        assert (synchronous, fullfsync) == pragmas


def test_a_process_that_is_killed_is_what_a_commit_survives_by_default(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        assert connection_of(store).execute("PRAGMA synchronous").fetchone() == (1,)


@pytest.mark.parametrize("content", ["", "PRAGMA journal_mode = WAL"])
def test_a_file_without_tables_is_no_store_where_one_is_expected(
    tmp_path: Path, content: str
) -> None:
    """A file that something else emptied, or one whose maker was killed half way."""
    path = tmp_path / "store.db"
    path.touch()
    _execute(path, content)

    with pytest.raises(StoreError, match="is empty: it is not a store yet; start a pod"):
        SqliteStore(path, create=False)

    with closing(SqliteStore(path)) as store:
        assert store.was_created
        assert store.submit([Submit("step", "{}")]) == [True]
    with closing(SqliteStore(path, create=False)) as store:
        assert not store.was_created


def test_a_value_that_is_too_large_is_refused_alone(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        connection_of(store).setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
        with pytest.raises(DataRefused, match="larger"):
            store.submit([Submit("large", f'"{"x" * 20_000}"')])
        assert store.submit([Submit("small", "{}")]) == [True]


def test_a_running_store_needs_no_more_descriptors(tmp_path: Path) -> None:
    """In a process of its own, whose limit is what is open already."""
    script = """
import os, resource, sys
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.pod import Join, Leave
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Complete, Submit
from fleet_q import FleetQ

store = SqliteStore(sys.argv[1])
highest = os.dup(0)
os.close(highest)
resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
try:
    os.dup(0)
except OSError:
    print("none left")
for number in range(100):
    store.submit([Submit(f"{number} {n}", f'"{"x" * 500}"', unique=True) for n in range(100)])
turn = store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1000, claim_token="t"))
outcomes = tuple(Complete(s.step_id, "t", "null") for s in turn.claimed[:500])
store.sync(SyncRequest("pod", "one", outcomes=outcomes))
store.sync(SyncRequest("pod", "one", Leave("pod", "one")))
app = FleetQ(store)
print(app.recover().total_orphans, store.change_counter() >= 0, store.counts(),
len(store.history("0 0")))
store.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "store.db"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("none left\n500 True")
    assert "'completed': 500" in done.stdout


def test_no_descriptors_are_left_for_a_new_store(tmp_path: Path) -> None:
    script = """
import os, resource, sys
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.errors import StoreError, StoreUnavailable

highest = os.dup(0)
os.close(highest)
resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
try:
    SqliteStore(sys.argv[1])
except StoreUnavailable:
    print("passing")
except StoreError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "store.db"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("Too many open files; raise the limit (ulimit -n)\n")
