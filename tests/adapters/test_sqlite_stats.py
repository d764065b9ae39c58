"""What SQLite reads of a long history to tell which steps ended lately."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet_q.adapters.sqlite import stats
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.adapters.statements import statements
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.queue_stats import QueueStats
from fleet_q.core.routing import Routes
from fleet_q.core.step import Complete, Submit
from tests.conformance.clock import SECOND, FakeClock

MOST = 40
"""Rows that are read to find completed steps."""


@pytest.fixture
def store(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SqliteStore]:
    monkeypatch.setattr(stats, "MOST_SEARCHED", MOST)
    monkeypatch.setattr(stats, "TAIL", 3)
    with closing(SqliteStore(tmp_path / "q.db", clock=clock)) as store:
        store.sync(SyncRequest("pod", "one", Join("pod", "one")))
        yield store


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def submit(store: SqliteStore, number: int, task_type: str = "t") -> None:
    known = sum(store.counts().values())
    ids = (f"step {place:04}" for place in range(known, known + number))
    store.submit([Submit(step_id, "{}", task_type=task_type, unique=True) for step_id in ids])


def claim(store: SqliteStore, number: int) -> list[str]:
    routes = Routes(task_types=("t",))
    token = f"token {number}"
    request = SyncRequest("pod", "one", claim=number, claim_token=token, routes=routes)
    return [step.step_id for step in store.sync(request).claimed]


def complete(store: SqliteStore, clock: FakeClock, number: int, pause: float = 1.0) -> None:
    """Complete steps of type ``t``, one every ``pause`` seconds."""
    for step_id in claim(store, number):
        clock.advance(pause)
        outcome = Complete(step_id, f"token {number}", "null")
        store.sync(SyncRequest("pod", "one", outcomes=(outcome,)))


def completed_lately(found: QueueStats) -> dict[str, int]:
    return {each.task_type: each.completed_lately for each in found.types}


def seconds(found: QueueStats) -> float:
    return (found.at - found.since) / SECOND


def test_steps_completed_before_a_long_backlog_are_found(
    store: SqliteStore, clock: FakeClock
) -> None:
    submit(store, 200)
    complete(store, clock, 10)
    found = store.queue_stats(600 * SECOND)
    assert (completed_lately(found), seconds(found)) == ({"t": 10}, 600)


def test_steps_completed_before_one_that_is_claimed_are_found(
    store: SqliteStore, clock: FakeClock
) -> None:
    submit(store, 10)
    complete(store, clock, 9)
    assert len(claim(store, 1)) == 1
    submit(store, 200, "unknown to the pod")
    found = store.queue_stats(600 * SECOND)
    assert completed_lately(found) == {"t": 9, "unknown to the pod": 0}


def test_rows_that_one_place_does_not_need_are_read_for_the_next(
    store: SqliteStore, clock: FakeClock
) -> None:
    submit(store, MOST // 2)
    complete(store, clock, MOST // 2)
    for number in range(MOST // 4):
        submit(store, 1, f"type {number}")
    found = store.queue_stats(600 * SECOND)
    assert (completed_lately(found)["t"], seconds(found)) == (MOST // 2, 600)


def test_window_is_shorter_if_more_steps_ended_in_it_than_are_read(
    store: SqliteStore, clock: FakeClock
) -> None:
    submit(store, 3 * MOST)
    complete(store, clock, 3 * MOST)
    clock.advance(1)
    found = store.queue_stats(600 * SECOND)
    lately, window = completed_lately(found)["t"], seconds(found)
    assert MOST - stats.TAIL < lately < MOST
    assert window == lately, "a step a second"


def test_window_is_not_shorter_if_the_steps_that_are_read_ended_before_it(
    store: SqliteStore, clock: FakeClock
) -> None:
    submit(store, 3 * MOST)
    complete(store, clock, 3 * MOST)
    clock.advance(1_000)
    assert store.queue_stats(600 * SECOND).since == clock() - 600 * SECOND


def test_number_of_rows_that_are_read_does_not_grow_with_the_history(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    def instructions() -> int:
        """How many times ten instructions of SQLite's virtual machine run."""
        count = 0

        def on_progress() -> int:
            nonlocal count
            count += 1
            return 0

        with closing(sqlite3.connect(tmp_path / "q.db")) as connection:
            connection.set_progress_handler(on_progress, 10)

            def run(name: str, values: dict[str, int] | tuple[()] = ()) -> sqlite3.Cursor:
                return connection.execute(statements("sqlite")[name], values)

            stats.groups_of_steps(run, clock(), 600 * SECOND)
        return count

    submit(store, 2 * MOST)
    complete(store, clock, 2 * MOST)
    few = instructions()
    submit(store, 20 * MOST)
    complete(store, clock, 20 * MOST, pause=0)
    assert instructions() <= few * 1.1
