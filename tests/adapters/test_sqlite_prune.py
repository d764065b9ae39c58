"""Pruning finds old steps without an index, since rows are stored and scanned in order of age."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.ports import FinalStepPage
from fleet_q.core.pruning import PRUNED_BY_DEFAULT, PruneStats, prune_cycle
from fleet_q.core.step import Submit
from tests.conformance.clock import SECOND, FakeClock
from tests.conformance.helpers import call_by_call


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "store.db", clock=clock)) as store:
        yield store


def cancelled(store: SqliteStore, *step_ids: str) -> None:
    store.submit([Submit(step_id, "{}") for step_id in step_ids])
    for step_id in step_ids:
        store.cancel(step_id)


def pages(store: SqliteStore, before: int, limit: int) -> list[list[str]]:
    page, step_ids = FinalStepPage((), ""), []
    while page.after is not None:
        page = store.final_steps(PRUNED_BY_DEFAULT, before, limit, page.after)
        step_ids.append([step.step_id for step in page.steps])
    return step_ids


def test_prune_stops_at_the_first_step_that_is_too_young(
    store: SqliteStore, clock: FakeClock
) -> None:
    cancelled(store, "z", "y", "x")
    clock.advance(1)
    cancelled(store, *(f"a {number}" for number in range(100)))
    assert pages(store, clock() - SECOND, 2) == [["z", "y"], ["x"], []]


def test_old_pending_steps_do_not_hide_final_steps(store: SqliteStore, clock: FakeClock) -> None:
    store.submit([Submit(f"waiting {number}", "{}", delay=SECOND) for number in range(5)])
    cancelled(store, "step")
    assert pages(store, clock(), 2) == [[], [], ["step"], []]


def test_rebuild_keeps_the_order_of_rows_by_age(
    store: SqliteStore, clock: FakeClock, tmp_path: Path
) -> None:
    for step_id in "cadb":
        cancelled(store, step_id)
        clock.advance(1)
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.execute("DELETE FROM step_tracker WHERE step_id = 'd'")
        connection.execute("UPDATE step_tracker SET step_id = 'unknown' WHERE step_id = 'a'")
        connection.commit()

    assert set(store.rebuild().differing_steps) == {"a", "d", "unknown"}

    assert pages(store, clock(), 10) == [["c", "b", "a", "d"]]
    assert store.rebuild(check=True).equal


def test_space_of_pruned_rows_is_reused(store: SqliteStore, tmp_path: Path) -> None:
    def size() -> int:
        with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
            return int(connection.execute("PRAGMA page_count").fetchone()[0])

    def submit_and_prune() -> None:
        cancelled(store, *(f"step {number}" for number in range(300)))
        program = prune_cycle(older_than=0, prune_batch=200, stats=PruneStats())
        for _ in call_by_call(store, program):
            pass

    submit_and_prune()
    before = size()
    submit_and_prune()
    assert size() == before
