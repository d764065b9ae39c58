"""Errors in the pod's thread: the pod logs them and continues if it can."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ, sql
from fleet_q.adapters import recovery_queue
from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core.errors import StoreError
from fleet_q.core.pod import Join, Leave
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.step import Complete
from fleet_q.core.worker.program import PodProgram
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.services.conftest import QUICK, Run
from tests.waiting import LIMIT, wait_until_async


class FailingStore(MemoryStore):
    """A store that calls ``before`` with each sync request; ``before`` may raise."""

    def __init__(self, before: Callable[[SyncRequest], None]) -> None:
        super().__init__()
        self.before = before

    def sync(self, request: SyncRequest) -> SyncResult:
        self.before(request)
        return super().sync(request)


class Raises(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the disk is full")


def refuse_large(request: SyncRequest) -> None:
    for outcome in request.outcomes:
        if isinstance(outcome, Complete) and len(outcome.result) > 100:
            raise StoreError("string or blob too big")


def break_on_large(request: SyncRequest) -> None:
    for outcome in request.outcomes:
        if isinstance(outcome, Complete) and len(outcome.result) > 100:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")


@pytest.mark.parametrize("before", [refuse_large, break_on_large])
def test_result_that_the_store_refuses_fails_only_its_step(before: Any) -> None:
    app = FleetQ(FailingStore(before), settings=QUICK)
    app.task("result")(lambda size: "x" * size)

    async def main() -> Any:
        async with app.running() as pod:
            ids = [app.submit({"task_type": "result", "size": size}) for size in (1, 500, 2, 600)]
            steps = [await asyncio.to_thread(app.wait, step_id, LIMIT) for step_id in ids]
            assert pod.is_healthy()
            return steps

    small, large, medium, larger = asyncio.run(main())
    assert (small.result, medium.result) == ("x", "xx")
    assert {large.status, larger.status} == {"failed"}
    assert "the store refused the step's outcome" in large.error


@pytest.mark.parametrize(
    "error",
    [OSError(24, "Too many open files"), MemoryError(), ValueError("unexpected"), SystemExit()],
)
def test_pod_continues_after_unexpected_error_of_its_store(error: BaseException) -> None:
    errors = [error] * 3

    def before(request: SyncRequest) -> None:
        if errors and request.outcomes:
            raise errors.pop()

    app = FleetQ(FailingStore(before), settings=QUICK)
    app.task("plain")(lambda: "ran")

    async def main() -> Any:
        async with app.running():
            step_id = app.submit({"task_type": "plain"})
            step = await asyncio.to_thread(app.wait, step_id, LIMIT)
            after = await asyncio.to_thread(app.wait, app.submit({"task_type": "plain"}), LIMIT)
            assert after.result == "ran"
            return step

    step = asyncio.run(main())
    assert step.status == "completed" or "the store refused" in step.error
    assert not errors


def test_pod_continues_after_unexpected_error_in_its_own_code(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app.task("plain")(lambda: "ran")
    errors = [RecursionError("the recursion limit is low")] * 3
    once = PodProgram._once

    def failing(program: PodProgram) -> Any:
        if errors:
            raise errors.pop()
        return once(program)

    monkeypatch.setattr(PodProgram, "_once", failing)

    async def main() -> Any:
        async with app.running() as pod:
            step = await asyncio.to_thread(app.wait, app.submit({"task_type": "plain"}), LIMIT)
            assert pod.is_healthy()
            return step

    assert asyncio.run(main()).result == "ran"
    assert wait_for_handlers(LIMIT)
    assert "the recursion limit is low" in caplog.text


def test_leader_that_cannot_recover_steps_is_unhealthy_until_it_can(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    app = FleetQ(store, settings=QUICK)
    app.task("plain")(lambda: "ran")

    def denied(after: str, limit: int) -> Any:
        raise StoreError("no privilege (grant it)")

    async def main() -> None:
        async with app.running() as pod:
            monkeypatch.setattr(store, "orphans", denied)
            await wait_until_async(lambda: pod.trouble is not None)
            assert pod.trouble == ("steps of dead pods are not recovered: no privilege (grant it)")
            step = await asyncio.to_thread(app.wait, app.submit({"task_type": "plain"}), LIMIT)
            assert step.result == "ran"
            monkeypatch.undo()
            await wait_until_async(pod.is_healthy)

    asyncio.run(main())
    assert wait_for_handlers(LIMIT)
    assert "recovery is postponed: no privilege (grant it)" in caplog.text


def test_log_handler_that_raises_does_not_end_the_pod(app: FleetQ, run: Run) -> None:
    @app.task("bad", max_retries=0)
    def bad() -> None:
        raise ValueError("no")

    handler = Raises()
    log = logging.getLogger("fleet_q")
    log.addHandler(handler)
    try:
        first, second = run(bad.submit(), bad.submit())
    finally:
        log.removeHandler(handler)
    assert {first.status, second.status} == {"failed"}


@pytest.mark.parametrize("part", ["create", "add", "take", "drop"])
def test_failed_recovery_is_started_again(
    part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    app = FleetQ(store, settings=QUICK)
    app.task("plain")(lambda: "ran")
    step_id = app.submit({"task_type": "plain"})
    _claim_and_vanish(store)
    table = recovery_queue.SqliteRecoveryQueue
    errors = [OSError(24, "Too many open files")] * 2
    method = getattr(table, part)

    def failing(self: Any, *args: Any) -> Any:
        if errors:
            raise errors.pop()
        return method(self, *args)

    monkeypatch.setattr(table, part, failing)

    async def main() -> Any:
        async with app.running():
            return await asyncio.to_thread(app.wait, step_id, LIMIT)

    assert asyncio.run(main()).result == "ran"
    assert not errors
    assert wait_for_handlers(LIMIT)
    assert "recovery is postponed" in caplog.text
    assert "Traceback" in caplog.text


def test_pod_releases_its_steps_and_leaves_on_a_fatal_error() -> None:
    fatal = False

    def before(request: SyncRequest) -> None:
        if fatal and request.claim:
            raise StoreError("insufficient privileges to claim")

    app = FleetQ(FailingStore(before), settings=QUICK)

    @app.task("endless")
    async def endless() -> None:
        await asyncio.Event().wait()

    async def main() -> str:
        nonlocal fatal
        async with app.running() as pod:
            step_id = endless.submit()
            await wait_until_async(lambda: app.status(step_id).status == "claimed")
            fatal = True
            assert await asyncio.to_thread(pod.ended.wait, LIMIT)
            assert str(pod.error) == "insufficient privileges to claim"
        return step_id

    step = app.status(asyncio.run(main()))
    assert (step.status, step.retry_count) == ("pending", 0)
    assert app.pods()[0].status == "down"


def test_sql_statements_are_loaded_when_the_store_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql.load.cache_clear()
    sql.load_all.cache_clear()
    SqliteStore(tmp_path / "q.db").close()
    files = [file.name for file in (resources.files("fleet_q.sql") / "sqlite").iterdir()]
    monkeypatch.setattr(sql, "files", None)
    assert all(sql.load("sqlite", name[:-4]) for name in files if name.endswith(".sql"))


def _claim_and_vanish(store: MemoryStore) -> None:
    store.sync(SyncRequest("other", "one", Join("other", "one"), claim=1, claim_token="token"))
    store.sync(SyncRequest("other", "one", Leave("other", "one")))
