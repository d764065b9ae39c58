"""Retries that are due after the clock was set back, in the same process and in a new one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.errors import StoreError
from fleet_q.core.pod import SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Fail, Release, Submit
from tests.conformance.clock import SECOND, FakeClock
from tests.conformance.helpers import claim, ids, join, submit

HOUR = 3_600


def retrying_step(store: SqliteStore) -> None:
    join(store)
    submit(store, "step")
    claim(store, token="token")
    failed = Fail("step", "token", "Boom", retry_delay=SECOND)
    store.sync(SyncRequest("pod", "one", outcomes=(failed,)))


def claim_if_claimable(store: SqliteStore, incarnation: str) -> list[str]:
    heartbeat = SendHeartbeat("pod", incarnation)
    request = SyncRequest(
        "pod", incarnation, heartbeat, claim=1, claim_token="x", only_if_claimable=True
    )
    return ids(store.sync(request).claimed)


def test_retry_is_due_in_a_process_that_starts_after_the_clock_was_set_back(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    with closing(SqliteStore(tmp_path / "q.db", clock=clock)) as store:
        retrying_step(store)
    clock.step(-HOUR)

    with closing(SqliteStore(tmp_path / "q.db", clock=clock)) as store:
        join(store, incarnation="two")
        assert claim_if_claimable(store, "two") == ["step"]


def test_failed_transaction_after_the_clock_was_set_back_keeps_the_retry_due(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    with closing(SqliteStore(tmp_path / "q.db", clock=clock)) as store:
        retrying_step(store)
        clock.step(-HOUR)
        with pytest.raises(StoreError):
            store.submit([Submit("step", "{}", unique=True)])

        store.sync(SyncRequest("pod", "one", SendHeartbeat("pod", "one")))

        assert claim_if_claimable(store, "one") == ["step"]


def test_delayed_steps_are_scanned_only_if_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fleet_q.adapters.sqlite.transaction import SqliteTransaction

    scans: list[int] = []
    monkeypatch.setattr(SqliteTransaction, "mark_due_by_new_clock", lambda tx: scans.append(tx.at))
    clock = FakeClock()
    with closing(SqliteStore(tmp_path / "q.db", clock=clock)) as store:
        retrying_step(store)
        clock.advance(HOUR)
        store.sync(SyncRequest("pod", "one", SendHeartbeat("pod", "one")))
        assert scans == []
        clock.step(-1)
        store.sync(SyncRequest("pod", "one", SendHeartbeat("pod", "one")))
        assert scans == [clock()]


def test_steps_of_an_earlier_version_are_claimable_after_the_clock_was_set_back(
    tmp_path: Path,
) -> None:
    """It stored the time of the event as ``available_ts`` of steps without a delay."""
    clock = FakeClock()
    with closing(SqliteStore(tmp_path / "q.db", clock=clock)) as store:
        names = ("submitted", "released", "replayed", "recovered")
        join(store)
        submit(store, *names, unique=True)
        claim(store, 4, token="token")
        store.sync(SyncRequest("pod", "one", outcomes=(Release("released", "token"),)))
        store.sync(SyncRequest("pod", "one", outcomes=(Release("submitted", "token"),)))
        store.cancel("replayed")
        store.replay(["replayed"])
        store.declare_dead(store.pods().pods)
        orphans = store.orphans("", 9)
        assert ids(orphans) == ["recovered"]
    with closing(sqlite3.connect(tmp_path / "q.db")) as connection:
        connection.executescript(
            """
            UPDATE step_events SET available_ts = event_ts WHERE type = 'submitted';
            UPDATE step_events SET available_ts = NULL WHERE type <> 'submitted';
            UPDATE step_tracker SET available_ts = created_ts;
            """
        )
    clock.step(-HOUR)
    with closing(SqliteStore(tmp_path / "q.db", clock=clock)) as store:
        assert store.rebuild(check=True).equal
        join(store, incarnation="two")
        assert sorted(claim(store, 9, incarnation="two")) == ["released", "replayed", "submitted"]
