"""Frequent statements use an index, so their cost does not grow with the number of steps.

The tests read SQLite's query plan. Without statistics SQLite prefers the primary key to a partial
index, and would scan a million steps to find the six that are claimed.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.adapters.statements import statements

INDEX_OF = {
    "first_due": "step_tracker_(queue|delayed|start_by)",
    "expired": "step_tracker_start_by",
    "first_of_queue": "step_tracker_queue",
    "first_of_queue_by_key": "step_tracker_queue",
    "first_of_keys": "step_tracker_key",
    "running": "step_tracker_claimed",
    "queued_by_type": "step_tracker_queue",
    "queued_longest": "step_tracker_queue",
    "delayed_by_type": "step_tracker_delayed",
    "waiting_by_type": "step_tracker_with_parents",
    "claimed_by_type": "step_tracker_claimed",
    "failed_by_type": "step_tracker_failed",
    "mark_due": "step_tracker_delayed",
    "is_any_claimed": "step_tracker_claimed",
    "next_due": "step_tracker_delayed",
    "orphans": "step_tracker_claimed",
    "claimed_under": "step_tracker_claimed",
    "dead_letters": "step_tracker_failed",
    "newest_dead_letters": "step_tracker_failed",
    "steps": "sqlite_autoindex_step_tracker_1",
    "claimed": "step_tracker_claimed",
    "append_claims": "step_tracker_claimed",
    "complete": "sqlite_autoindex_step_tracker_1",
    "append_completions": "sqlite_autoindex_step_tracker_1",
    "rejected_completions": "sqlite_autoindex_step_tracker_1",
    "prune_steps": "sqlite_autoindex_step_tracker_1",
    "prune_step_events": "sqlite_autoindex_step_tracker_1",
    "update_step": "sqlite_autoindex_step_tracker_1",
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    path: Path = tmp_path_factory.mktemp("plans") / "store.db"
    SqliteStore(path).close()
    return sqlite3.connect(path)


@pytest.mark.parametrize("name", INDEX_OF)
def test_statement_finds_its_rows_by_an_index(connection: sqlite3.Connection, name: str) -> None:
    statement = statements("sqlite")[name]
    values = dict.fromkeys(re.findall(r":(\w+)", statement), 1)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
    steps = [row[3] for row in plan if "step_tracker" in row[3] or "step USING" in row[3]]
    assert steps
    others = [step for step in steps if "INTEGER PRIMARY KEY (rowid=?)" not in step]
    assert all(re.search(rf"INDEX {INDEX_OF[name]}\b", step) for step in others), steps


def test_backlog_reads_pending_and_claimed_steps_only(connection: sqlite3.Connection) -> None:
    statement = statements("sqlite")["backlog"]
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", {"now": 1, "limited": "[]"})
    steps = [row[3] for row in plan if "step_tracker" in row[3]]
    indexes = {step.partition(" INDEX ")[2].partition(" ")[0] for step in steps}
    assert indexes == {f"step_tracker_{name}" for name in ("queue", "delayed", "claimed")}


def test_backlog_within_limits_reads_pending_steps_of_limited_queues_only(
    connection: sqlite3.Connection,
) -> None:
    statement = statements("sqlite")["backlog_within_limits"]
    values = {"now": 1, "limited": "[]", "keyed": "[]"}
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
    steps = [row[3] for row in plan if "step_tracker" in row[3]]
    assert [step.partition(" INDEX ")[2] for step in steps] == [
        "step_tracker_queue (queue=?)",
        "step_tracker_delayed (queue=?)",
    ]


def test_counting_steps_reads_indexes_only(connection: sqlite3.Connection) -> None:
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statements('sqlite')['counts']}")
    steps = [row[3] for row in plan if "step_tracker" in row[3]]
    indexes = ["queue", "delayed", "claimed", "failed", "others"]
    names = [*(f"step_tracker_{name}" for name in indexes), "sqlite_autoindex_step_tracker_1"]
    assert [step.partition(" INDEX ")[2] for step in steps] == names


@pytest.mark.parametrize(
    "name", ["briefs_of_changed", "briefs_of_attempts", "time_of_event", "log_of_steps"]
)
def test_past_is_read_by_the_index_of_times(connection: sqlite3.Connection, name: str) -> None:
    connection.execute(statements("sqlite")["make_log_index"])
    statement = statements("sqlite")[name]
    values = dict.fromkeys(re.findall(r":(\w+)", statement), 1)
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any("step_events_time" in step for step in plan)
    scans = [step for step in plan if re.match("SCAN (event|step|step_events|step_tracker)", step)]
    assert all("INDEX" in step for step in scans)
