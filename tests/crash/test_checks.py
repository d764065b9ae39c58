"""The checks of a round find the faults that they look for."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Complete
from tests.crash import checks
from tests.crash.checks import Runs
from tests.crash.work import Work

FIRST, SECOND = Work(1, "short"), Work(2, "short")
TOKEN = "token"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """The first step has completed, the second is claimed."""
    store = SqliteStore(tmp_path / "store.db")
    store.submit([FIRST.command, SECOND.command])
    store.sync(SyncRequest("pod", "life", Join("pod", "life"), claim=2, claim_token=TOKEN))
    store.sync(SyncRequest("pod", "life", outcomes=(Complete(FIRST.step_id, TOKEN, "1"),)))
    yield store
    store.close()


@pytest.fixture
def runs() -> Runs:
    return Counter({(FIRST.step_id, 1): 1, (SECOND.step_id, 1): 1})


def _tamper(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "store.db")) as connection, connection:
        connection.execute(statement)


def test_checks_find_no_fault_in_a_correct_log(store: SqliteStore, runs: Runs) -> None:
    log = checks.read_log(store)
    assert checks.of_log(store) == []
    assert checks.of_work([FIRST], [], {FIRST.step_id: log[FIRST.step_id]}) == []
    assert checks.of_runs(log, runs) == []
    assert checks.of_holders(log) == []
    assert checks.of_copy(log, log) == []


def test_row_that_differs_from_the_log_is_a_fault(store: SqliteStore, tmp_path: Path) -> None:
    _tamper(tmp_path, "UPDATE step_tracker SET result = '2' WHERE status = 'completed'")
    assert [fault.split(":")[0] for fault in checks.of_log(store)] == [FIRST.step_id]


def test_gap_in_the_log_is_a_fault(store: SqliteStore, tmp_path: Path) -> None:
    _tamper(tmp_path, "DELETE FROM step_events WHERE type = 'claimed'")
    assert any("cannot be folded" in fault for fault in checks.of_log(store))


@pytest.mark.parametrize(
    ("work", "fault"),
    [
        ([FIRST, SECOND, Work(3, "short")], "step-0003: lost"),
        ([FIRST, SECOND], "step-0002 (short): claimed, None"),
        ([SECOND], "step-0001: nobody submitted it"),
        ([Work(1, "doomed"), SECOND], "step-0001 (doomed): completed, None"),
        ([Work(1, "heavy"), SECOND], "step-0001 (heavy): unexpected result 1"),
    ],
)
def test_step_with_an_unexpected_end_is_a_fault(
    store: SqliteStore, work: list[Work], fault: str
) -> None:
    assert fault in checks.of_work(work, [], checks.read_log(store))


def test_step_that_completed_without_having_run_is_a_fault(store: SqliteStore, runs: Runs) -> None:
    del runs[FIRST.step_id, 1]
    [fault] = checks.of_runs(checks.read_log(store), runs)
    assert "never ran" in fault


def test_step_that_ran_more_often_than_it_was_claimed_is_a_fault(
    store: SqliteStore, runs: Runs
) -> None:
    runs[SECOND.step_id, 1] += 1
    [fault] = checks.of_runs(checks.read_log(store), runs)
    assert "ran 2 times but was claimed 1 times" in fault


def test_completion_by_a_pod_without_the_claim_is_a_fault(
    store: SqliteStore, tmp_path: Path
) -> None:
    _tamper(tmp_path, "UPDATE step_events SET pod_id = 'other' WHERE type = 'completed'")
    [fault] = checks.of_holders(checks.read_log(store))
    assert fault == "step-0001: claimed by pod, completed by other"


def test_copy_that_is_no_prefix_of_the_log_is_a_fault(store: SqliteStore) -> None:
    log = checks.read_log(store)
    earlier = {FIRST.step_id: log[FIRST.step_id][:2], SECOND.step_id: log[SECOND.step_id][1:]}
    [fault] = checks.of_copy(earlier, log)
    assert fault.startswith(SECOND.step_id)
