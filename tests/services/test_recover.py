"""A recovery cycle without a pod: it watches silent pods before it declares them dead."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet_q import FleetQ, Settings
from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Submit

QUICK = Settings(heartbeat_interval=0.2, dead_pod_threshold=1)
HOUR = 3_600 * 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> SqliteStore:
    """A store in which two pods have claimed a step each."""
    store = SqliteStore(tmp_path / "fleet-q.db", clock=clock)
    for pod_id in ("one", "other"):
        store.submit([Submit(f"step of {pod_id}", "{}")])
        join = Join(pod_id, pod_id)
        store.sync(SyncRequest(pod_id, pod_id, join, claim=1, claim_token=pod_id))
    return store


def test_pods_that_are_live_are_not_watched(store: SqliteStore) -> None:
    lines: list[str] = []
    assert FleetQ(store, settings=QUICK).recover(lines.append).dead_pods == 0
    assert lines == []


@pytest.mark.parametrize("clock_is_set_by", [HOUR, -HOUR])
def test_silent_pods_are_watched_before_they_are_declared_dead(
    store: SqliteStore, clock: Clock, clock_is_set_by: int
) -> None:
    clock.now += clock_is_set_by
    lines: list[str] = []
    began = time.monotonic()

    stats = FleetQ(store, settings=QUICK).recover(lines.append)

    assert time.monotonic() - began >= 2 * QUICK.heartbeat_interval
    assert lines == ["watching for 0.4 s whether silent pods send a heartbeat: one, other"]
    assert (stats.dead_pods, stats.resubmitted) == (2, 2)


def test_watched_pod_that_sends_a_heartbeat_keeps_its_steps(
    store: SqliteStore, clock: Clock
) -> None:
    clock.now += HOUR

    def on_wait(line: str) -> None:
        store.sync(SyncRequest("one", "one", SendHeartbeat("one", "one")))

    stats = FleetQ(store, settings=QUICK).recover(on_wait)

    assert (stats.dead_pods, stats.resubmitted) == (1, 1)
    assert store.counts()["claimed"] == 1


def test_no_pod_is_declared_dead_while_the_store_is_locked(
    store: SqliteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is locked during most of the watch; then the pods send heartbeats."""
    clock.now += HOUR
    now = 0.0

    def wait_for_lock(silent: list[object], by: str | None = None) -> list[object]:
        nonlocal now
        if not silent and now == 0.0:
            now += 100.0
        return declare_dead(silent, by)

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        for pod_id in ("one", "other"):
            store.sync(SyncRequest(pod_id, pod_id, SendHeartbeat(pod_id, pod_id)))

    declare_dead: Callable[..., list[object]] = store.declare_dead  # type: ignore[assignment]
    monkeypatch.setattr(store, "declare_dead", wait_for_lock)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)

    assert FleetQ(store, settings=QUICK).recover().dead_pods == 0


def test_recover_command_reports_that_it_watches(
    store: SqliteStore,
    clock: Clock,
    fleet_q: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLEET_Q_HEARTBEAT_INTERVAL", "0.2")
    code, out, err = fleet_q("recover", "--json")
    assert code == 0
    assert json.loads(out)["dead_pods"] == 2
    assert err == "watching for 0.4 s whether silent pods send a heartbeat: one, other\n"


def test_running_pod_declares_dead_the_pods_that_it_saw_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pod that is silent only by the store's clock is neither watched nor declared dead."""
    clock = Clock()
    store = MemoryStore(clock)
    store.sync(SyncRequest("other", "other", Join("other", "other")))
    clock.now += 10 * HOUR
    lines: list[str] = []

    async def main() -> tuple[int, int]:
        app = FleetQ(store, settings=Settings(pod_id="leader", dead_pod_threshold=3_600))
        async with app.running() as pod:
            first = await asyncio.to_thread(app.recover, lines.append)
            silent = [each for each in store.pods().pods if each.pod_id == "other"]
            monkeypatch.setattr(pod, "silent_pods", lambda: silent)
            second = await asyncio.to_thread(app.recover, lines.append)
            return first.dead_pods, second.dead_pods

    assert asyncio.run(main()) == (0, 1)
    assert lines == []
