"""Timeouts, cancellation and draining: how a running function is stopped."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import msgspec
import pytest

from fleet_q import FleetQ, current_step
from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.sqlite import database as sqlite_database
from fleet_q.core.errors import InvalidInput, StoreUnavailable
from fleet_q.core.ports import SyncRequest, SyncResult
from tests.services.conftest import QUICK, Run
from tests.waiting import LIMIT, wait_until, wait_until_async


def test_async_function_is_cancelled_at_its_timeout(app: FleetQ, run: Run) -> None:
    stopped = []

    @app.task("slow", timeout=0.05, max_retries=0)
    async def slow() -> None:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            stopped.append(True)
            raise

    (step,) = run(slow.submit())
    assert (step.status, step.error) == ("failed", "TimeoutError: ran longer than 0.05 s")
    assert stopped == [True]


def test_timed_out_thread_sees_cancelled_and_frees_its_slot(run: Run) -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, max_parallelism=1))
    seen = threading.Event()
    never = threading.Event()

    @app.task("ignores cancellation", timeout=0.05, max_retries=0)
    def ignores_cancellation() -> None:
        context = current_step()
        wait_until(lambda: context.cancelled)
        seen.set()
        never.wait(LIMIT)

    @app.task("next")
    def next_one() -> str:
        return "ran"

    async def main() -> str:
        first, second = ignores_cancellation.options(priority=1).submit(), next_one.submit()
        async with app.running():
            assert (await asyncio.to_thread(app.wait, first, LIMIT)).status == "failed"
            assert (await asyncio.to_thread(app.wait, second, LIMIT)).result == "ran"
            assert await asyncio.to_thread(seen.wait, LIMIT)
            never.set()
        return "left"

    assert asyncio.run(main()) == "left"


def test_function_of_a_cancelled_step_sees_cancelled(app: FleetQ) -> None:
    stopped = threading.Event()
    started = threading.Event()

    @app.task("long")
    def long() -> None:
        started.set()
        context = current_step()
        wait_until(lambda: context.cancelled)
        stopped.set()

    async def main() -> None:
        async with app.running():
            step_id = long.submit()
            assert await asyncio.to_thread(started.wait, LIMIT)
            assert app.cancel(step_id).status == "cancelled"
            assert await asyncio.to_thread(stopped.wait, LIMIT)
        assert app.status(step_id).status == "cancelled"

    asyncio.run(main())


def test_draining_pod_completes_running_steps_and_claims_no_more(app: FleetQ) -> None:
    started = threading.Event()
    proceed = threading.Event()

    @app.task("held")
    def held() -> str:
        started.set()
        proceed.wait(LIMIT)
        return "finished"

    async def main() -> tuple[str, str]:
        async with app.running() as pod:
            first = held.submit()
            assert await asyncio.to_thread(started.wait, LIMIT)
            pod.drain()
            await wait_until_async(lambda: pod.is_draining)  # a sync under way could still claim
            second = held.submit()
            proceed.set()
        return first, second

    first, second = asyncio.run(main())
    assert app.status(first).result == "finished"
    assert app.status(second).status == "pending"
    (pod,) = app.pods()
    assert (pod.status, pod.alive) == ("down", False)


def test_step_that_outlasts_the_grace_is_released_without_a_retry(app: FleetQ) -> None:
    started = threading.Event()

    @app.task("endless")
    async def endless() -> None:
        started.set()
        await asyncio.sleep(3_600)

    async def main() -> str:
        async with app.running() as pod:
            step_id = endless.submit()
            assert await asyncio.to_thread(started.wait, LIMIT)
            pod.drain(0)
        return step_id

    step = app.status(asyncio.run(main()))
    assert (step.status, step.retry_count, step.claimed_by) == ("pending", 0, None)


def test_pod_makes_no_further_sync_after_its_grace_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    requests, requested, may_return = [], threading.Event(), threading.Event()

    def sync(request: SyncRequest) -> SyncResult:
        requests.append(request)
        requested.set()
        may_return.wait(LIMIT)
        raise StoreUnavailable("no answer in time")

    monkeypatch.setattr(store, "sync", sync)
    app = FleetQ(store, settings=QUICK)

    async def main() -> None:
        async with app.running() as pod:
            assert await asyncio.to_thread(requested.wait, LIMIT)
            pod.drain(0)
            may_return.set()
            assert await asyncio.to_thread(pod.ended.wait, LIMIT)
            assert "has not confirmed that pod" in str(pod.error)

    asyncio.run(main())
    assert len(requests) == 1
    assert caplog.text.count("has not confirmed that pod") == 1
    assert "left the fleet" not in caplog.text


def test_app_runs_one_pod_at_a_time(app: FleetQ) -> None:
    async def main() -> None:
        async with app.running():
            with pytest.raises(InvalidInput, match="already"):
                async with app.running():
                    pass

    asyncio.run(main())


def test_pod_stops_with_an_error_when_another_pod_takes_its_id(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'q.db'}"
    one, other = FleetQ(url, settings=QUICK), FleetQ(url, settings=QUICK)

    async def main() -> None:
        async with one.running() as first:
            await wait_until_async(one.pods)  # it has joined
            async with other.running() as second:
                assert await asyncio.to_thread(first.ended.wait, LIMIT)
                assert "FLEET_Q_POD_ID" in str(first.error)
                assert not first.is_healthy()
                assert second.is_healthy()

    asyncio.run(main())


def test_pod_stops_with_an_error_when_its_store_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "FILE_CHECK_INTERVAL", 0)
    app = FleetQ(f"sqlite:///{tmp_path / 'q.db'}", settings=QUICK)
    app.executor(lambda step: None)

    async def main() -> None:
        async with app.running() as pod:
            await asyncio.to_thread(app.wait, app.submit({}), LIMIT)
            for file in tmp_path.iterdir():
                file.unlink()
            await asyncio.to_thread(pod.ended.wait, LIMIT)
            assert "deleted" in str(pod.error)
            assert not pod.is_healthy()

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []
