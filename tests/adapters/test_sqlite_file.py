"""Which files can be opened as stores, and what a commit survives."""

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
from tests.submitted import are_new


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
def test_file_of_another_program_is_rejected_and_not_changed(
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
def test_empty_file_and_file_made_by_the_printed_script_can_be_opened(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "store.db"
    make(path)

    with closing(SqliteStore(path)) as store:
        assert are_new(store.submit([Submit("step", "{}")])) == [True]
    with closing(SqliteStore(path, create=False)) as store:
        assert store.counts()["pending"] == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_deleted_or_replaced_file_is_detected(
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


def test_relative_path_is_valid_after_the_working_directory_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "FILE_CHECK_INTERVAL", 0)
    monkeypatch.chdir(tmp_path)
    with closing(SqliteStore("store.db")) as store:
        monkeypatch.chdir("/")
        store.submit([Submit("step", "{}")])
        assert len(list(store.step_events())) == 1


@pytest.mark.parametrize(("durability", "pragmas"), [("process", (1, 0)), ("power", (2, 1))])
def test_durability_sets_synchronous_and_fullfsync(
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


def test_default_durability_is_process(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        assert connection_of(store).execute("PRAGMA synchronous").fetchone() == (1,)


@pytest.mark.parametrize("content", ["", "PRAGMA journal_mode = WAL"])
def test_file_without_tables_is_rejected_unless_it_may_be_created(
    tmp_path: Path, content: str
) -> None:
    """Another program emptied it, or the process that created it was killed too early."""
    path = tmp_path / "store.db"
    path.touch()
    _execute(path, content)

    with pytest.raises(StoreError, match="is empty: it is not a store yet; start a pod"):
        SqliteStore(path, create=False)

    with closing(SqliteStore(path)) as store:
        assert store.was_created
        assert are_new(store.submit([Submit("step", "{}")])) == [True]
    with closing(SqliteStore(path, create=False)) as store:
        assert not store.was_created


def test_value_too_large_for_sqlite_is_rejected_and_the_store_stays_usable(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "store.db")) as store:
        connection_of(store).setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
        with pytest.raises(DataRefused, match="larger"):
            store.submit([Submit("large", f'"{"x" * 20_000}"')])
        assert are_new(store.submit([Submit("small", "{}")])) == [True]


def test_open_store_needs_no_further_file_descriptors(tmp_path: Path) -> None:
    """In a process whose limit is the number of descriptors that are open already."""
    script = """
import os, resource, sys
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.pod import Join, Leave
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Complete, Submit
from fleet_q import FleetQ

store = SqliteStore(sys.argv[1])
app = FleetQ(store)
app.settings  # reads the file .env
highest = os.dup(0)
os.close(highest)
resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
try:
    os.dup(0)
except OSError:
    print("none left")
for number in range(100):
    store.submit([Submit(f"{number} {n}", f'"{"x" * 500}"', unique=True) for n in range(100)])
result = store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1000, claim_token="t"))
outcomes = tuple(Complete(s.step_id, "t", "null") for s in result.claimed[:500])
store.sync(SyncRequest("pod", "one", outcomes=outcomes))
store.sync(SyncRequest("pod", "one", Leave("pod", "one")))
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


def test_opening_without_free_file_descriptors_says_to_raise_the_limit(tmp_path: Path) -> None:
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
