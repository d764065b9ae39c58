"""Threads that abandoned functions hold are counted, logged and limited."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import msgspec
import pytest

from fleet_q import FleetQ
from fleet_q.services.worker.careful_log import wait_for_handlers
from fleet_q.services.worker.runners.left_behind import LeftBehind
from fleet_q.services.worker.runners.threads import LEFT_PER_SLOT
from tests.services.conftest import QUICK
from tests.waiting import LIMIT, wait_until


def test_plain_functions_wait_at_the_limit_of_held_threads_and_async_ones_run() -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, max_parallelism=1))
    proceed, begun = threading.Event(), []

    @app.task("hang", timeout=0.01, max_retries=0)
    def hang() -> None:
        begun.append(True)
        proceed.wait(LIMIT)

    app.task("plain")(lambda: "ran")

    @app.task("async")
    async def on_loop() -> str:
        return "ran"

    async def main() -> Any:
        async with app.running() as pod:
            for _ in range(LEFT_PER_SLOT):
                await asyncio.to_thread(app.wait, hang.submit(), LIMIT)
            assert "4 functions that timed out or were cancelled" in str(pod.trouble)
            plain = app.submit({"task_type": "plain"})
            on_loop = app.submit({"task_type": "async"}, priority=1)
            assert (await asyncio.to_thread(app.wait, on_loop, LIMIT)).result == "ran"
            assert app.status(plain).status != "completed"
            proceed.set()
            step = await asyncio.to_thread(app.wait, plain, LIMIT)
            assert pod.is_healthy()
            return step

    assert asyncio.run(main()).result == "ran"
    wait_until(lambda: len(begun) == LEFT_PER_SLOT)


def test_held_threads_are_logged_at_each_doubling_and_at_the_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "fleet_q")
    left = LeftBehind(limit=100)
    for _ in range(99):
        left.add()
    assert left.trouble is None
    left.add()
    assert left.is_full
    assert left.remove()
    assert not left.is_full
    assert left.trouble is None
    assert wait_for_handlers(LIMIT)
    counts = [int(record.getMessage().split()[0]) for record in caplog.records]
    assert counts == [1, 2, 4, 8, 16, 32, 64, 100]
