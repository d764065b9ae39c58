"""Time-outs, cancellation and draining: how a function that runs is stopped."""

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


def test_an_async_function_is_cancelled_when_its_time_is_up(app: FleetQ, run: Run) -> None:
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


def test_a_thread_whose_time_is_up_finds_its_flag_and_does_not_keep_its_slot(run: Run) -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, max_parallelism=1))
    seen = threading.Event()
    never = threading.Event()

    @app.task("deaf", timeout=0.05, max_retries=0)
    def deaf() -> None:
        context = current_step()
        wait_until(lambda: context.cancelled)
        seen.set()
        never.wait(LIMIT)

    @app.task("next")
    def next_one() -> str:
        return "ran"

    async def main() -> str:
        first, second = deaf.submit(priority=1), next_one.submit()
        async with app.running():
            assert (await asyncio.to_thread(app.wait, first, LIMIT)).status == "failed"
            assert (await asyncio.to_thread(app.wait, second, LIMIT)).result == "ran"
            assert await asyncio.to_thread(seen.wait, LIMIT)
            never.set()
        return "left"

    assert asyncio.run(main()) == "left"


def test_cancelling_a_step_that_runs_tells_its_function(app: FleetQ) -> None:
    told = threading.Event()
    started = threading.Event()

    @app.task("long")
    def long() -> None:
        started.set()
        context = current_step()
        wait_until(lambda: context.cancelled)
        told.set()

    async def main() -> None:
        async with app.running():
            step_id = long.submit()
            assert await asyncio.to_thread(started.wait, LIMIT)
            assert app.cancel(step_id).status == "cancelled"
            assert await asyncio.to_thread(told.wait, LIMIT)
        assert app.status(step_id).status == "cancelled"

    asyncio.run(main())


def test_leaving_finishes_what_runs_and_claims_no_more(app: FleetQ) -> None:
    started = threading.Event()
    go_on = threading.Event()

    @app.task("held")
    def held() -> str:
        started.set()
        go_on.wait(LIMIT)
        return "finished"

    async def main() -> tuple[str, str]:
        async with app.running() as pod:
            first = held.submit()
            assert await asyncio.to_thread(started.wait, LIMIT)
            pod.drain()
            second = held.submit()
            go_on.set()
        return first, second

    first, second = asyncio.run(main())
    assert app.status(first).result == "finished"
    assert app.status(second).status == "pending"
    (pod,) = app.pods()
    assert (pod.status, pod.alive) == ("down", False)


def test_what_outlasts_the_grace_is_released_with_no_try_used_up(app: FleetQ) -> None:
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


def test_a_pod_that_the_store_kept_waiting_past_its_grace_does_not_ask_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    requests, asked, answers = [], threading.Event(), threading.Event()

    def sync(request: SyncRequest) -> SyncResult:
        requests.append(request)
        asked.set()
        answers.wait(LIMIT)
        raise StoreUnavailable("it took too long")

    monkeypatch.setattr(store, "sync", sync)
    app = FleetQ(store, settings=QUICK)

    async def main() -> None:
        async with app.running() as pod:
            assert await asyncio.to_thread(asked.wait, LIMIT)
            pod.drain(0)
            answers.set()
            assert await asyncio.to_thread(pod.ended.wait, LIMIT)
            assert "has not confirmed that pod" in str(pod.error)

    asyncio.run(main())
    assert len(requests) == 1
    assert caplog.text.count("has not confirmed that pod") == 1
    assert "left the fleet" not in caplog.text


def test_an_app_runs_one_pod_at_a_time(app: FleetQ) -> None:
    async def main() -> None:
        async with app.running():
            with pytest.raises(InvalidInput, match="already"):
                async with app.running():
                    pass

    asyncio.run(main())


def test_a_pod_whose_id_another_process_takes_stops_and_says_so(tmp_path: Path) -> None:
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


def test_a_pod_whose_store_is_deleted_stops_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_database, "FILE_CHECK_INTERVAL", 0)
    app = FleetQ(f"sqlite:///{tmp_path / 'q.db'}", settings=QUICK)

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
