"""The stores that the suite runs on: to add one, add an entry to ``KINDS``."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Final
from unittest.mock import patch

import snowflake.connector
from msgspec.structs import replace

from fleet_q.adapters import memory
from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.inbox import Intake
from fleet_q.core.ports import Store
from tests.standin.client import Schema
from tests.tables import TABLES
from tests.waiting import LIMIT

from .clock import FakeClock


@dataclass(frozen=True)
class StoreKind:
    """One kind of store, and the number of test cases that its speed allows.

    ``open`` makes a store, or with ``shared`` one more client of the store that the folder
    already has; ``discard`` frees a folder whose store is closed. ``spoil`` makes the rows differ
    from the log: those of the step and the pod ``missing`` are deleted, rows ``unknown`` are
    added, and all others are changed. Within ``failing``, every write of a step's row fails. Tests
    that need one of these two are skipped on a store without it.
    """

    name: str
    open: Callable[[Path, FakeClock], Store]
    shared: bool
    examples: int
    """Examples of every property test."""
    runs: int
    """Runs of the stateful test."""
    run_length: int
    """Rules in a run of it, at most."""
    writes_are_billed: bool = False
    """Whether calls are so slow that the stateful test makes fewer of them."""
    longest_wait: float = 0.0
    """Seconds by which the time of a statement may precede what it sees. If the clock is set back
    by no more, retries wait for the rest of their delay."""
    insert: Callable[[Path, Store, Sequence[dict[str, Any]]], None] | None = None
    """Insert rows into its inbox, in one transaction."""
    execute: Callable[[Path, Store, str], None] | None = None
    """Run an SQL statement on its tables."""
    keeps_dependencies: bool = True
    """Whether it has a table of what steps wait for, which may be wrong."""
    spoil: Callable[[Path, Store], None] | None = None
    failing: Callable[[Path], AbstractContextManager[None]] | None = None
    discard: Callable[[Path], None] = lambda _: None


def _open_sqlite(folder: Path, clock: FakeClock) -> SqliteStore:
    return SqliteStore(_file(folder), clock=clock, intake=_intake())


def _intake() -> Intake:
    """Steps that hold invalid rows have ids that a model can foretell."""
    numbers = count(1)
    return Intake(new_id=lambda: f"rejected {next(numbers)}")


def _insert_sqlite(folder: Path, _: Store, rows: Sequence[dict[str, Any]]) -> None:
    with closing(sqlite3.connect(_file(folder))) as connection, connection:
        for row in rows:
            names, places = ", ".join(row), ", ".join("?" * len(row))
            connection.execute(
                f"INSERT INTO step_inbox ({names}) VALUES ({places})", list(row.values())
            )


def _file(folder: Path) -> Path:
    return folder / "store.db"


def _execute(folder: Path, statements: str) -> None:
    with closing(sqlite3.connect(_file(folder))) as connection:
        connection.executescript(statements)


_SPOIL: Final = (
    "UPDATE step_tracker SET status = 'completed'",
    "DELETE FROM step_tracker WHERE step_id = 'missing'",
    "INSERT INTO step_tracker (step_id, status, priority, payload, retry_count, max_retries,"
    " created_ts, last_update_ts, available_ts, version{more})"
    " SELECT 'unknown', status, priority, payload, retry_count, max_retries, created_ts,"
    " last_update_ts, available_ts, version{more} FROM step_tracker LIMIT 1",
    "UPDATE pod_health SET version = version + 1",
    "DELETE FROM pod_health WHERE pod_id = 'missing'",
    "INSERT INTO pod_health (pod_id, status, birth_ts, last_heartbeat_ts, incarnation, version)"
    " SELECT 'unknown', status, birth_ts, last_heartbeat_ts, incarnation, version"
    " FROM pod_health LIMIT 1",
)


def _spoil_sqlite(folder: Path, store: Store) -> None:
    _execute(folder, ";\n".join(_SPOIL).format(more=", is_queued"))


@contextmanager
def _failing_sqlite(folder: Path) -> Iterator[None]:
    fail = "ON step_tracker BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
    _execute(
        folder,
        f"CREATE TRIGGER no_insert BEFORE INSERT {fail};"
        f"CREATE TRIGGER no_update BEFORE UPDATE OF version {fail};",
    )
    yield
    _execute(folder, "DROP TRIGGER no_insert; DROP TRIGGER no_update;")


def _spoil_memory(folder: Path, store: Store) -> None:
    database: Any = store._database  # type: ignore[attr-defined]
    for table, change in (
        (database.steps, {"status": "completed"}),
        (database.pods, {"version": 9}),
    ):
        rows = {row_id: replace(row, **change) for row_id, row in table.items()}
        first = next(iter(rows.values()))
        rows.pop("missing", None)
        key = first.__struct_fields__[0]
        table.clear()
        table.update(rows | {"unknown": replace(first, **{key: "unknown"})})
    database.by_status.clear()
    database.by_status["completed"] = dict.fromkeys(database.steps)


@contextmanager
def _failing_memory(folder: Path) -> Iterator[None]:
    full = MemoryError("no room")
    with patch.object(memory.MemoryTransaction, "_keep", side_effect=full):
        yield


class _Account:
    """The schemas in the stand-in for Snowflake that stores are in, one for each folder."""

    def __init__(self) -> None:
        self._used: dict[Path, Schema] = {}
        self._lock = Lock()  # or those that open a new store at once would have one each

    def schema(self, folder: Path) -> Schema:
        """The schema of this folder's store, with empty tables at first."""
        with self._lock:
            if folder not in self._used:
                self._used[folder] = TABLES.take()
            return self._used[folder]

    def take_back(self, folder: Path) -> None:
        """Empty the schema of a folder whose store is closed."""
        with self._lock:
            TABLES.give_back(self._used.pop(folder))


_account: Final = _Account()


def _open_snowflake(folder: Path, clock: FakeClock) -> SnowflakeStore:
    schema = _account.schema(folder)
    clock.lead(lambda now: schema.set(clock=now))
    return SnowflakeStore(schema.parameters, patience=LIMIT, intake=_intake())


def _insert_snowflake(folder: Path, _: Store, rows: Sequence[dict[str, Any]]) -> None:
    connection = snowflake.connector.connect(**_account.schema(folder).parameters)
    with closing(connection), closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN TRANSACTION")
        for row in rows:
            places = ("TO_TIMESTAMP_LTZ(?, 6)" if name == "available_ts" else "?" for name in row)
            text = f"INSERT INTO step_inbox ({', '.join(row)}) SELECT {', '.join(places)}"
            cursor.execute(text, list(row.values()))
        cursor.execute("COMMIT")


def _execute_snowflake(_: Path, store: Store, statement: str) -> None:
    assert isinstance(store, SnowflakeStore)
    store.session.execute(statement)


def _spoil_snowflake(folder: Path, store: Store) -> None:
    assert isinstance(store, SnowflakeStore)
    for statement in _SPOIL:
        store.session.execute(statement.format(more=""))


KINDS: Final = [
    StoreKind(
        name="memory",
        open=lambda _, clock: MemoryStore(clock, _intake()),
        shared=False,
        examples=300,
        runs=300,
        run_length=60,
        insert=lambda _, store, rows: store._database.put_into_inbox(rows),  # type: ignore[attr-defined]
        spoil=_spoil_memory,
        failing=_failing_memory,
    ),
    StoreKind(
        name="sqlite",
        open=_open_sqlite,
        shared=True,
        examples=150,
        runs=150,
        run_length=60,
        execute=lambda folder, _, statement: _execute(folder, statement),
        insert=_insert_sqlite,
        spoil=_spoil_sqlite,
        failing=_failing_sqlite,
    ),
    StoreKind(
        name="snowflake",
        open=_open_snowflake,
        shared=True,
        examples=8,
        runs=12,
        run_length=30,
        longest_wait=300.0,
        writes_are_billed=True,
        keeps_dependencies=False,
        execute=_execute_snowflake,
        insert=_insert_snowflake,
        spoil=_spoil_snowflake,
        discard=_account.take_back,
    ),
]
