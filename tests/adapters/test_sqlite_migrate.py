"""Migration of files of an earlier schema version, which is completed or has no effect."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fleet_q.adapters.sqlite import database as sqlite_database
from fleet_q.adapters.sqlite import doctor as sqlite_doctor
from fleet_q.adapters.sqlite import migrate as sqlite_migrate
from fleet_q.adapters.sqlite.migrate import SCHEMA_VERSION, migrate
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.errors import StoreError, StoreUnavailable
from fleet_q.core.step import Submit
from fleet_q.sql import Migration, migrations
from tests.adapters import version_1
from tests.waiting import LIMIT

NEXT = (
    Migration(
        SCHEMA_VERSION + 1,
        "next",
        """-- Two tables and a trigger.
CREATE TABLE notes (step_id TEXT NOT NULL, note TEXT NOT NULL) STRICT;
CREATE TRIGGER noted AFTER INSERT ON notes BEGIN
    UPDATE step_tracker SET error = new.note WHERE step_id = new.step_id;
    UPDATE step_tracker SET traceback = NULL WHERE step_id = new.step_id;
END;
INSERT INTO notes SELECT step_id, 'seen' FROM step_tracker;
""",
    ),
    Migration(SCHEMA_VERSION + 2, "after next", "CREATE TABLE more (id TEXT NOT NULL) STRICT;"),
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of a file that FLEET-Q created with schema version 1."""
    return Path(shutil.copy(version_1.FILE, tmp_path / "old.db"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of the latest version with a step in it."""
    path = tmp_path / "store.db"
    with closing(SqliteStore(path)) as store:
        store.submit([Submit("step", "{}")])
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path)) as connection:
        yield connection


def connect(path: Path, **options: Any) -> sqlite3.Connection:
    connection: sqlite3.Connection = sqlite3.connect(path, isolation_level=None, **options)
    return connection


def dump(path: Path) -> list[str]:
    """The content of a file, and its schema version."""
    with closing(connect(path)) as connection:
        return [*connection.iterdump(), f"version {sqlite_migrate.version(connection)}"]


def test_migrations_are_numbered_without_gaps() -> None:
    for dialect in ("sqlite", "snowflake"):
        versions = [migration.version for migration in migrations(dialect)]
        assert versions == list(range(1, len(versions) + 1))


def test_pending_migrations_are_applied_in_order(
    path: Path, connection: sqlite3.Connection
) -> None:
    migrate(connection, path, NEXT)

    assert sqlite_migrate.version(connection) == SCHEMA_VERSION + 2
    rows = connection.execute("SELECT error FROM step_tracker").fetchall()
    assert rows == [("seen",)]
    assert connection.execute("SELECT count(*) FROM more").fetchone() == (0,)


def test_applied_migration_is_not_applied_again(path: Path, connection: sqlite3.Connection) -> None:
    migrate(connection, path, NEXT[:1])
    before = dump(path)
    migrate(connection, path, NEXT[:1])
    assert dump(path) == before


def test_file_of_version_1_keeps_its_history(old: Path) -> None:
    with closing(SqliteStore(old, create=False)) as store:
        version_1.check_history(store)
        assert not store.was_created
    assert sqlite_migrate.applied(old) == SCHEMA_VERSION


def test_steps_of_a_file_of_version_1_run_and_are_recovered(old: Path) -> None:
    with closing(SqliteStore(old, clock=lambda: version_1.LATER)) as store:
        version_1.check_work(store)


def test_migrated_file_has_the_tables_of_a_new_one(old: Path, path: Path) -> None:
    SqliteStore(old).close()
    assert version_1.columns(lambda: connect(old)) == version_1.columns(lambda: connect(path))


def test_first_migration_creates_the_tables_of_version_1(old: Path, tmp_path: Path) -> None:
    """Files of version 1 are in use, so every later change of the tables is another migration."""
    schemas = []
    for path in (old, tmp_path / "new.db"):
        with closing(connect(path)) as connection:
            migrate(connection, path, migrations("sqlite")[:1])
            cursor = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2")
            schemas.append(cursor.fetchall())
    assert schemas[0] == schemas[1]


def test_pod_of_version_1_that_still_has_the_file_open_is_rejected(old: Path) -> None:
    """It appends heartbeats to the log, which is now an error that ends it."""
    with closing(connect(old)) as pod:
        pod.execute("SELECT count(*) FROM pod_events").fetchone()
        SqliteStore(old).close()
        with pytest.raises(sqlite3.IntegrityError, match=r"was migrated while .* upgrade fleet-q"):
            pod.execute(
                "INSERT INTO pod_events (pod_id, version, type, event_ts, by_pod_id, incarnation)"
                " VALUES ('worker', 99, 'heartbeat', 1, 'worker', 'w1')"
            )


def test_steps_of_version_3_have_the_type_of_their_payload(tmp_path: Path) -> None:
    path = tmp_path / "3.db"
    with closing(connect(path)) as connection:
        migrate(connection, path, migrations("sqlite")[:3])
        for number, payload in enumerate(version_1.TYPES):
            connection.execute(
                "INSERT INTO step_events (step_id, version, type, event_ts, payload, priority,"
                " max_retries, available_ts) VALUES (?, 1, 'submitted', 5, ?, 0, 3, 0)",
                (f"s{number}", payload),
            )
            connection.execute(
                "INSERT INTO step_tracker (step_id, status, priority, payload, retry_count,"
                " max_retries, created_ts, last_update_ts, available_ts, version, due)"
                " VALUES (?, 'pending', 0, ?, 0, 3, 5, 5, 0, 1, 1)",
                (f"s{number}", payload),
            )
    with closing(SqliteStore(path)) as store:
        for number, task_type in enumerate(version_1.TYPES.values()):
            step = store.step(f"s{number}")
            assert step is not None
            assert (step.queue, step.task_type) == ("default", task_type)
        assert store.rebuild(check=True).equal


def test_process_of_version_3_that_still_has_the_file_open_cannot_submit(tmp_path: Path) -> None:
    """It would submit steps without a type."""
    path = tmp_path / "3.db"
    with closing(connect(path)) as client:
        migrate(client, path, migrations("sqlite")[:3])
        SqliteStore(path).close()
        with pytest.raises(sqlite3.OperationalError, match="due"):
            client.execute(
                "INSERT INTO step_tracker (step_id, status, priority, payload, retry_count,"
                " max_retries, created_ts, last_update_ts, available_ts, version, due)"
                " VALUES ('late', 'pending', 0, '{}', 0, 3, 5, 5, 0, 1, 1)"
            )


def test_doctor_warns_of_pending_migrations_and_applies_none(old: Path) -> None:
    before = dump(old)
    findings = {finding.check: finding for finding in sqlite_doctor.examination(old)}
    assert (findings["version"].verdict, findings["version"].fix) == ("warn", "fleet-q queue")
    assert f"1; the next pod or command that opens the file migrates it to {SCHEMA_VERSION}" in (
        findings["version"].message
    )
    assert (findings["write"].verdict, findings["latency"].verdict) == ("ok", "ok")
    assert dump(old) == before


class _FailingConnection(sqlite3.Connection):
    """Fails at the statement of this number, counted from 0."""

    fails_at = -1

    def execute(self, *args: Any) -> sqlite3.Cursor:
        self.fails_at -= 1
        if self.fails_at == -1:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(*args)


def test_migration_that_fails_at_any_statement_leaves_the_old_version(path: Path) -> None:
    before = dump(path)
    with closing(connect(path, factory=_FailingConnection)) as connection:
        assert isinstance(connection, _FailingConnection)
        for number in range(20):
            connection.fails_at = number
            try:
                migrate(connection, path, NEXT[:1])
                break
            except sqlite3.OperationalError:
                assert dump(path) == before
                assert not connection.in_transaction
    assert number > len(list(sqlite_migrate.statements(NEXT[0]))), "each statement failed once"
    assert dump(path) != before


def test_new_file_has_all_migrations_or_none(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    first = 2 + sum(
        len(list(sqlite_migrate.statements(migration))) for migration in migrations("sqlite")
    )
    with closing(connect(path, factory=_FailingConnection)) as connection:
        assert isinstance(connection, _FailingConnection)
        connection.fails_at = first + 1
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, path, (*migrations("sqlite"), *NEXT))
        assert sqlite_migrate.version(connection) == 0
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


_KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from fleet_q.adapters.sqlite.open import Opening

def connect(self, mode):
    connection = as_before(self, mode)
    connection.set_trace_callback(
        lambda statement: os.kill(os.getpid(), signal.SIGKILL) if statement == "COMMIT" else None
    )
    return connection

as_before, Opening.connect = Opening.connect, connect
from fleet_q.adapters.sqlite.store import SqliteStore
SqliteStore(Path(sys.argv[1]))
"""


def test_process_killed_before_its_migration_commits_leaves_the_old_version(old: Path) -> None:
    before = dump(old)
    killed = subprocess.run([sys.executable, "-c", _KILLED, old], timeout=LIMIT)
    assert killed.returncode == -signal.SIGKILL
    assert dump(old) == before

    with closing(SqliteStore(old)) as store:
        assert store.rebuild(check=True).equal
    assert sqlite_migrate.applied(old) == SCHEMA_VERSION


def test_opening_waits_for_a_process_that_migrates(path: Path) -> None:
    with closing(connect(path)) as other:
        waiting = threading.Event()

        def wait_and_migrate() -> None:
            with closing(connect(path, timeout=0)) as connection:
                waiting.set()
                migrate(connection, path, NEXT[:1])

        other.execute("BEGIN IMMEDIATE")
        for statement in sqlite_migrate.statements(NEXT[0]):
            other.execute(statement)
        thread = threading.Thread(target=wait_and_migrate)
        thread.start()
        waiting.wait(LIMIT)
        other.execute("COMMIT")
        thread.join(LIMIT)

        assert other.execute("SELECT count(*) FROM notes").fetchone() == (1,), "migrated once"


def test_opening_gives_up_on_a_process_that_migrates_for_too_long(path: Path) -> None:
    with closing(connect(path)) as other, closing(connect(path, timeout=0)) as connection:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="waited 0 s for another process, to migrate"):
            migrate(connection, path, NEXT, patience=0)


def test_file_that_became_newer_while_waiting_is_rejected(
    path: Path, connection: sqlite3.Connection
) -> None:
    migrate(connection, path, NEXT)
    with pytest.raises(StoreError, match=rf"schema version {SCHEMA_VERSION + 2}.*upgrade fleet-q"):
        migrate(connection, path, NEXT[:1])


def test_store_in_use_ends_when_a_newer_version_migrates_its_file(
    path: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "FILE_CHECK_INTERVAL", 0)
    with closing(SqliteStore(path)) as store:
        migrate(connection, path, NEXT)
        before = dump(path)
        for use in (
            store.change_counter,
            store.counts,
            lambda: store.submit([Submit("late", "{}")]),
            lambda: list(store.step_events()),
        ):
            with pytest.raises(StoreError, match=r"was migrated to schema version .* upgrade"):
                use()
        assert dump(path) == before


def test_statement_that_fails_on_newer_tables_says_so(
    path: Path, connection: sqlite3.Connection
) -> None:
    """Before the store has checked the version again."""
    with closing(SqliteStore(path)) as store:
        store.counts()
        migrate(connection, path, NEXT)
        connection.execute("ALTER TABLE step_tracker RENAME COLUMN status TO state")
        with pytest.raises(StoreError, match=r"was migrated to schema version .* upgrade"):
            store.counts()
