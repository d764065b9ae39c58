"""Forks after which the child cannot use the file, and children that end."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet_q.adapters import fork
from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.ports import Orphan
from fleet_q.core.step import Submit
from tests.forking import Child
from tests.submitted import are_new
from tests.waiting import LIMIT


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db")
    yield store
    store.close()


def test_fork_within_a_transaction_leaves_it_to_the_parent(store: SqliteStore) -> None:
    with store._database.write() as tx:
        tx.submit_many([Submit("one", "{}", unique=True)], None)
        child = Child(lambda: store.counts())
        result = child.ended()
        tx.submit_many([Submit("two", "{}", unique=True)], None)

    assert "was in use by a transaction when this process was forked" in result
    assert store.counts()["pending"] == 2


def test_child_cannot_continue_its_parents_transaction(store: SqliteStore) -> None:
    def fork_within() -> str:
        with store._database.write() as tx:
            child = Child(lambda: tx.submit_many([Submit("child's", "{}", unique=True)], None))
            return child.ended()

    assert "was in use by a transaction" in fork_within()
    assert store.counts()["pending"] == 0


def test_child_forked_during_a_long_transaction_is_rejected(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not block, and does not touch the open transaction of another thread."""
    monkeypatch.setattr(fork, "FORK_PATIENCE", 0)
    begun, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with store._database.write() as tx:
            tx.submit_many([Submit("parent's", "{}", unique=True)], None)
            begun.set()
            go_on.wait(LIMIT)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(LIMIT)
    child = Child(lambda: store.submit([Submit("child's", "{}")]))
    result = child.ended()
    go_on.set()
    thread.join()

    assert "was in use by a transaction" in result
    assert store.counts()["pending"] == 1


def test_fork_does_not_wait_for_another_process(store: SqliteStore, tmp_path: Path) -> None:
    """A thread that waits for the write lock does not use SQLite meanwhile."""
    script = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("begun", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "store.db"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        thread = threading.Thread(target=store.submit, args=([Submit("parent's", "{}")],))
        thread.start()
        assert "'pending': 0" in Child(store.counts).ended()
        other.stdin.close()
        thread.join()
    assert store.counts()["pending"] == 1


def test_child_is_rejected_if_its_parent_has_another_connection_to_the_file(
    store: SqliteStore, tmp_path: Path
) -> None:
    """SQLite in the child would assume locks that only the parent holds."""
    with closing(_other(tmp_path)) as other:
        other.execute("SELECT count(*) FROM step_tracker").fetchone()
        result = Child(lambda: store.submit([Submit("child's", "{}")])).ended()
        opened = Child(lambda: SqliteStore(tmp_path / "store.db")).ended()
    assert "close it before the fork" in result
    assert "close it before the fork" in opened
    assert Child(lambda: are_new(store.submit([Submit("child's", "{}")]))).ended() == "[True]"


def test_child_cannot_use_its_parents_recovery_queue() -> None:
    table = SqliteRecoveryQueue()
    table.create()
    table.add([Orphan("step", "token", "pod", "one", 0, 3, 2)])

    def take() -> object:
        table.drop()
        return table.take(1)

    result = Child(take).ended()

    assert "RuntimeError" in result
    assert [orphan.step_id for orphan in table.take(9)] == ["step"]


def test_daemon_and_its_parents_lose_no_submission(tmp_path: Path) -> None:
    """It forks twice, and the parents end normally, with all destructors."""
    script = """
import os, sys
from fleet_q import FleetQ
from tests.submitted import are_new

app = FleetQ(sys.argv[1])
app.submit({"who": "first"})
read, write = os.pipe()
if os.fork():
    sys.exit()
os.setsid()
app.submit({"who": "second"})
if os.fork():
    os.close(write)
    os.read(read, 1)  # end while the third works
    sys.exit()
for number in range(50):
    app.submit({"who": "third", "number": number})
    if number == 10:
        os.write(write, b"x")
sys.stdout.write("done")
"""
    path = tmp_path / "store.db"
    done = subprocess.run(
        [sys.executable, "-c", script, f"sqlite:///{path}"],
        capture_output=True,  # which ends when the last of the processes has
        text=True,
        timeout=LIMIT,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("done", "")
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT count(*) FROM step_tracker").fetchone() == (52,)


def _other(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "store.db", isolation_level=None)
