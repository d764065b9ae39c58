"""A store in one SQLite file, for any number of processes on one machine."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from fleet_q.adapters.clock import wall_clock
from fleet_q.adapters.sqlite_errors import translated
from fleet_q.core.errors import StoreError
from fleet_q.core.events import (
    Claimed,
    Completed,
    Event,
    Fact,
    PodEvent,
    StepEvent,
    Submitted,
    decode_pod_fact,
    decode_step_fact,
    encode_fact,
)
from fleet_q.core.lifecycles import STEP_STATUSES, StepStatus
from fleet_q.core.pod import Pod
from fleet_q.core.ports import Manners
from fleet_q.core.step import Step
from fleet_q.core.store import EventStore
from fleet_q.sql import load

SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT: Final = 10.0
"""Seconds to wait for another process's transaction before the store counts as unavailable."""

CACHE_KIB: Final = 32 * 1024
"""Memory for pages of the file, at most: SQLite's own 2 MiB are reread all the time by a queue of
some ten thousand steps."""

WATCH_INTERVAL: Final = 0.01
"""Seconds between an idle pod's looks at the bell, which read four bytes of shared memory."""

_WAL_PAUSE: Final = 0.01
_OLDEST_SQLITE: Final = (3, 37, 0)  # the first with STRICT tables

_encode_ids = msgspec.json.Encoder().encode


class SqliteStore(EventStore):
    """A store in the SQLite file at ``path``, which is made unless ``create`` is false.

    Any thread may use it; calls take turns. ``clock`` gives the store's time in microseconds
    since the Unix epoch; all processes on a file share the machine's clock by default. The file
    is in WAL mode with ``synchronous=NORMAL``: what was committed survives the kill of any
    process; a power cut may take the last commits with it, never a part of one.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        create: bool = True,
        clock: Callable[[], int] = wall_clock,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        super().__init__(_SqliteDatabase(Path(path), create, clock, busy_timeout))


class _SqliteDatabase:
    def __init__(
        self, path: Path, create: bool, clock: Callable[[], int], busy_timeout: float
    ) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or later is needed")
        if not create and not path.exists():
            raise StoreError(
                f"there is no store at {path}; start a pod, submit a step, or name another store"
            )
        self.manners = Manners(watch_interval=WATCH_INTERVAL)
        self._path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._busy_timeout = busy_timeout
        with translated(path):
            self._connection = self._connect()
            try:
                self._set_up()
            except BaseException:
                self._connection.close()
                raise

    def bell(self) -> int:
        with self._lock, translated(self._path):
            row: tuple[int] = self._connection.execute(load("sqlite", "bell")).fetchone()
            return row[0]

    @contextmanager
    def write(self) -> Iterator[_SqliteTransaction]:
        with self._transaction("BEGIN IMMEDIATE") as tx:
            yield tx

    @contextmanager
    def read(self) -> Iterator[_SqliteTransaction]:
        with self._transaction("BEGIN") as tx:
            yield tx

    @contextmanager
    def snapshot(self) -> Iterator[_SqliteTransaction]:
        with translated(self._path), closing(self._connect()) as connection:
            connection.execute("BEGIN")
            yield _SqliteTransaction(connection, self._clock())

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[_SqliteTransaction]:
        with self._lock, translated(self._path):
            connection = self._connection
            connection.execute(begin)
            try:
                yield _SqliteTransaction(connection, self._clock())
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self._path,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )

    def _set_up(self) -> None:
        run = self._connection.execute
        found = run("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} has schema version {found}, and this FLEET-Q knows"
                f" {SCHEMA_VERSION}; upgrade fleet-q"
            )
        self._use_wal()
        run("PRAGMA synchronous = NORMAL")
        run(f"PRAGMA cache_size = -{CACHE_KIB}")
        if found < SCHEMA_VERSION:
            self._connection.executescript(f"BEGIN IMMEDIATE;\n{load('sqlite', 'schema')}\nCOMMIT;")

    def _use_wal(self) -> None:
        """Two processes that do this to a new file at once do not wait for each other: SQLite
        fails one of them without asking its busy timeout."""
        until = time.monotonic() + self._busy_timeout
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
                time.sleep(_WAL_PAUSE)


class _SqliteTransaction:
    def __init__(self, connection: sqlite3.Connection, at: int) -> None:
        self.at = at
        self._connection = connection

    def steps(self, step_ids: Sequence[str]) -> dict[str, Step]:
        found = self._select_steps("steps", {"step_ids": _encode_ids(step_ids).decode()})
        return {step.step_id: step for step in found}

    def claimable(self, limit: int) -> list[Step]:
        self._run("mark_due", {"now": self.at})
        return self._select_steps("claimable", {"now": self.at, "limit": limit})

    def next_due(self) -> int | None:
        row: tuple[int | None] = self._run("next_due", {"now": self.at}).fetchone()
        return row[0]

    def is_any_claimed(self) -> bool:
        row: tuple[int] = self._run("is_any_claimed").fetchone()
        return bool(row[0])

    def claimed_under(self, pod_id: str, incarnation: str, claim_token: str) -> list[Step]:
        return self._select_steps(
            "claimed_under",
            {"pod_id": pod_id, "incarnation": incarnation, "claim_token": claim_token},
        )

    def orphans(self, after: str, limit: int) -> list[Step]:
        return self._select_steps("orphans", {"after": after, "limit": limit})

    def dead_letters(self, limit: int, before: tuple[int, str] | None) -> list[Step]:
        if before is None:
            return self._select_steps("newest_dead_letters", {"limit": limit})
        return self._select_steps(
            "dead_letters", {"limit": limit, "before_ts": before[0], "before_id": before[1]}
        )

    def counts(self) -> dict[StepStatus, int]:
        pending, claimed, failed, cancelled, total = self._run("counts").fetchone()
        found = {"pending": pending, "claimed": claimed, "failed": failed, "cancelled": cancelled}
        found["completed"] = total - sum(found.values())
        return {status: found[status] for status in STEP_STATUSES}

    def pods(self) -> list[Pod]:
        return [Pod(*row) for row in self._run("pods")]

    def pod(self, pod_id: str) -> Pod | None:
        row = self._run("pod", {"pod_id": pod_id}).fetchone()
        return None if row is None else Pod(*row)

    def history(self, step_id: str) -> list[StepEvent]:
        return [_step_event(row) for row in self._run("history", {"step_id": step_id})]

    def step_events(self) -> Iterator[StepEvent]:
        return map(_step_event, self._run("step_events"))

    def pod_events(self) -> Iterator[PodEvent]:
        return map(_pod_event, self._run("pod_events"))

    def all_steps(self) -> Iterator[Step]:
        return (Step(*row) for row in self._run("all_steps"))

    def write_steps(self, changes: Sequence[tuple[StepEvent, Step]]) -> None:
        self._run_many("insert_step_event", [_event_row(event) for event, _ in changes])
        for kind, alike in groupby(changes, key=lambda change: type(change[0].fact)):
            name, columns = _WRITES.get(kind, _WRITE_ANY)
            self._run_many(name, [columns(step) for _, step in alike])

    def write_pods(self, changes: Sequence[tuple[PodEvent, Pod]]) -> None:
        self._run_many("insert_pod_event", (_event_row(event) for event, _ in changes))
        self._run_many("upsert_pod", (astuple(pod) for _, pod in changes))

    def replace_steps(self, steps: Iterable[Step]) -> None:
        self._run("delete_steps")
        self._run_many("insert_step", (astuple(step) for step in steps))

    def replace_pods(self, pods: Iterable[Pod]) -> None:
        self._run("delete_pods")
        self._run_many("upsert_pod", (astuple(pod) for pod in pods))

    def _select_steps(self, name: str, values: dict[str, Any]) -> list[Step]:
        return [Step(*row) for row in self._run(name, values)]

    def _run(self, name: str, values: dict[str, Any] | tuple[()] = ()) -> sqlite3.Cursor:
        return self._connection.execute(load("sqlite", name), values)

    def _run_many(self, name: str, rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.executemany(load("sqlite", name), rows)


# How a step's row is written after an event. The events of every step's life have statements of
# their own, which name only what the event changes: most of a row's cost is binding its values.
_WRITES: Final[dict[type[Fact], tuple[str, Callable[[Step], tuple[Any, ...]]]]] = {
    Submitted: (
        "submit_step",
        attrgetter("step_id", "priority", "payload", "max_retries", "created_ts", "available_ts"),
    ),
    Claimed: (
        "claim_step",
        attrgetter(
            "step_id", "last_update_ts", "claimed_by", "incarnation", "claim_token", "version"
        ),
    ),
    Completed: ("complete_step", attrgetter("step_id", "last_update_ts", "result", "version")),
}
_WRITE_ANY: Final = (
    "update_step",
    attrgetter(
        "step_id",
        "status",
        "retry_count",
        "last_update_ts",
        "available_ts",
        "claimed_by",
        "incarnation",
        "claim_token",
        "error",
        "traceback",
        "version",
    ),
)


def _event_row(event: StepEvent | PodEvent) -> tuple[Any, ...]:
    fact = event.fact
    data = encode_fact(fact).decode()
    return (event.stream, event.version, fact.type, event.at, event.pod_id, data)


def _step_event(row: tuple[str, int, int, str | None, str]) -> StepEvent:
    stream, version, at, pod_id, data = row
    return Event(stream, version, at, pod_id, decode_step_fact(data))


def _pod_event(row: tuple[str, int, int, str | None, str]) -> PodEvent:
    stream, version, at, pod_id, data = row
    return Event(stream, version, at, pod_id, decode_pod_fact(data))
