"""Rebuilding both tables from the log alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from fleet_q.core import rebuild
from fleet_q.core.pod import Leave, SendHeartbeat
from fleet_q.core.ports import RebuildReport, Store, SyncRequest
from fleet_q.core.step import Complete
from tests.waiting import LIMIT

from .clock import SECOND, FakeClock
from .helpers import (
    at_once,
    claim,
    completed_step,
    failed_step,
    held_step,
    join,
    known,
    orphaned_step,
    recover_all,
    snapshot_of,
    submit,
)
from .stores import StoreKind
from .test_threads import work_off

NAMES = ["cancelled", "completed", "delayed", "failed", "held", "recovered"]


@pytest.fixture
def populated(store: Store, clock: FakeClock) -> None:
    """One step of every status, and a pod that has left."""
    completed_step(store, "completed")
    failed_step(store, "failed")
    orphaned_step(store, "recovered")
    recover_all(store)
    submit(store, "cancelled")
    store.cancel("cancelled")
    clock.advance(1)
    submit(store, "held", priority=1)
    claim(store, incarnation="two")
    submit(store, "delayed", delay=5 * SECOND)
    join(store, "gone")
    store.sync(SyncRequest("gone", "one", Leave("gone", "one")))


def test_rebuild_of_an_empty_log_makes_empty_tables(store: Store) -> None:
    assert store.rebuild() == RebuildReport(0, 0, 0, (), ())


@pytest.mark.usefixtures("populated")
@pytest.mark.parametrize("check", [True, False])
def test_rebuilding_changes_nothing(store: Store, check: bool) -> None:
    before, rows = snapshot_of(store), [known(store, name) for name in NAMES]

    report = store.rebuild(check=check)

    assert report == RebuildReport(6, 2, len(list(store.step_events())), (), ())
    assert snapshot_of(store) == before
    assert [known(store, name) for name in NAMES] == rows


@pytest.mark.usefixtures("populated")
def test_steps_can_be_claimed_after_a_rebuild(store: Store, clock: FakeClock) -> None:
    store.rebuild()
    assert claim(store, 9, "another", incarnation="two") == ["recovered"]
    clock.advance(5)
    assert claim(store, 9, "a third", incarnation="two") == ["delayed"]


@pytest.mark.usefixtures("populated")
def test_rows_that_differ_from_the_log_are_found_and_corrected(
    kind: StoreKind, store: Store, tmp_path: Path
) -> None:
    if kind.spoil is None:
        pytest.skip("the rows of this store cannot be changed from outside")
    submit(store, "missing")
    join(store, "missing")
    before = snapshot_of(store)
    kind.spoil(tmp_path, store)

    report = store.rebuild(check=True)
    assert not report.equal
    assert set(report.differing_steps) >= {"failed", "held", "missing", "unknown"}
    assert report.differing_pods == ("gone", "missing", "pod", "unknown")
    assert store.rebuild(check=True) == report

    assert store.rebuild() == report
    assert store.rebuild(check=True).equal
    assert snapshot_of(store) == before


@pytest.mark.usefixtures("populated")
def test_more_rows_are_corrected_than_the_report_names(
    kind: StoreKind, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kind.spoil is not None
    before = snapshot_of(store)
    kind.spoil(tmp_path, store)
    monkeypatch.setattr(rebuild, "_MAX_REPORTED", 2)
    monkeypatch.setattr(rebuild, "BATCH_ROWS", 2)

    report = store.rebuild()

    assert (len(report.differing_steps), len(report.differing_pods)) == (2, 2)
    assert store.rebuild(check=True).equal
    assert snapshot_of(store) == before


@pytest.mark.usefixtures("populated")
def test_interrupted_rebuild_can_be_repeated(
    kind: StoreKind, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kind.spoil is not None
    before = snapshot_of(store)
    kind.spoil(tmp_path, store)
    report = store.rebuild(check=True)
    monkeypatch.setattr(rebuild, "BATCH_ROWS", 1)
    monkeypatch.setattr(rebuild, "_PROGRESS_EVERY", 1)

    def end(events: int) -> None:
        if events == report.events // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.rebuild(progress=end)
    left = store.rebuild(check=True).differing_steps

    assert 0 < len(left) < len(report.differing_steps)
    assert store.rebuild().differing_steps == left
    assert snapshot_of(store) == before


@pytest.mark.usefixtures("populated")
def test_pods_sync_between_the_batches_of_a_rebuild(
    kind: StoreKind,
    clients: list[Store],
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After each event that is folded, a pod sends a heartbeat, and completes what it claims."""
    store, pod = clients[0], clients[1]
    assert kind.spoil is not None
    kind.spoil(tmp_path, store)
    monkeypatch.setattr(rebuild, "BATCH_ROWS", 1)
    monkeypatch.setattr(rebuild, "_PROGRESS_EVERY", 1)
    join(store, "busy")
    done: list[str] = []

    def sync(events: int) -> None:
        clock.advance(1)
        step_id = f"meanwhile {len(done)}"
        submit(pod, step_id, priority=9)
        request = SyncRequest(
            "busy", "one", SendHeartbeat("busy", "one"), claim=1, claim_token=step_id
        )
        assert [step.step_id for step in pod.sync(request).claimed] == [step_id]
        assert (
            pod.sync(
                SyncRequest("busy", "one", outcomes=(Complete(step_id, step_id, "1"),))
            ).refused
            == ()
        )
        done.append(step_id)

    with ThreadPoolExecutor(1) as other_thread:
        report = store.rebuild(progress=lambda n: other_thread.submit(sync, n).result(LIMIT))

    assert not report.equal
    assert len(done) == report.events + 1
    assert all(known(store, step_id).status == "completed" for step_id in done)
    assert next(p for p in store.pods().pods if p.pod_id == "busy").last_heartbeat_ts == clock()


def test_rebuild_beside_a_working_fleet_leaves_tables_equal_to_the_log(
    kind: StoreKind, clients: list[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kind.spoil is not None
    store = clients[0]
    join(store)
    old = [f"old {number:02}" for number in range(30)]
    submit(store, *old)
    for step_id in old:
        store.cancel(step_id)
    kind.spoil(tmp_path, store)
    new = [f"new {number:03}" for number in range(60)]
    submit(store, *new)
    monkeypatch.setattr(rebuild, "BATCH_ROWS", 3)

    works: list[Callable[[], object]] = [
        lambda: work_off(clients[1], "one pod"),
        lambda: work_off(clients[2], "another pod"),
        store.rebuild,
    ]
    done = at_once(lambda work: work(), works)

    assert sorted(done[0] + done[1]) == new
    assert set(done[2].differing_steps) == {*old, "unknown"}
    assert store.counts() == {**store.counts(), "cancelled": 30, "completed": 60, "pending": 0}


def test_rebuild_reports_its_progress(store: Store) -> None:
    held_step(store)
    counts: list[int] = []

    store.rebuild(progress=counts.append)

    assert counts[-1] == 2


BY_HAND: Final = [
    ("by hand", 1, "submitted", "has an event without the values that it needs"),
    ("by hand", 1, "cancelled", "must begin with its only submitted event"),
    ("held", 9, "cancelled", "has a gap: version 9 follows version 2"),
    ("completed", 4, "cancelled", "is completed and cannot be cancelled"),
]


@pytest.mark.usefixtures("populated")
@pytest.mark.parametrize(("step_id", "version", "event", "reason"), BY_HAND)
def test_event_that_was_put_in_by_hand_is_named_and_all_else_is_corrected(
    kind: StoreKind,
    store: Store,
    tmp_path: Path,
    step_id: str,
    version: int,
    event: str,
    reason: str,
) -> None:
    if kind.execute is None or kind.spoil is None:
        pytest.skip("the tables of this store cannot be changed by SQL")
    at, more, change = "CURRENT_TIMESTAMP()", ", change_id", ", 'by hand'"
    if kind.name == "sqlite":
        at, more, change = "5", "", ""
    before = [known(store, name) for name in NAMES if name != step_id]
    kind.execute(
        tmp_path,
        store,
        f"INSERT INTO step_events (step_id, version, type, event_ts{more})"
        f" SELECT '{step_id}', {version}, '{event}', {at}{change}",
    )
    report = store.rebuild(check=True)
    assert not report.equal
    assert report.differing == ()
    assert len(report.inconsistent) == 1
    assert report.inconsistent[0].startswith(f"step {step_id!r} {reason}")

    kind.spoil(tmp_path, store)
    report = store.rebuild()
    assert {
        "step 'unknown' has a row but no events: nothing of FLEET-Q has written it",
        "pod 'gone' differs from its events in version",
    } <= {*report.reasons}
    assert step_id not in report.differing_steps
    again = store.rebuild(check=True)
    assert (again.differing, again.inconsistent) == ((), report.inconsistent)
    assert [known(store, name) for name in NAMES if name != step_id] == before
    kind.execute(
        tmp_path,
        store,
        f"DELETE FROM step_events WHERE step_id = '{step_id}' AND version = {version}",
    )
    assert {*store.rebuild().differing} <= {step_id}
