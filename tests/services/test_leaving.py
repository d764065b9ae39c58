"""How an app stops its pod, whatever its functions do."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fleet_q import FleetQ
from fleet_q.core.errors import InvalidInput
from fleet_q.services.app.tasks import Task
from fleet_q.services.worker.loop_thread import LoopThread
from tests.services.conftest import QUICK, ended
from tests.waiting import LIMIT, wait_until, wait_until_async

Stuck = tuple[Task[[], None], threading.Event, threading.Event]


@pytest.fixture
def stuck(app: FleetQ) -> Iterator[Stuck]:
    """A task that runs until the test ends, and the events "it began" and "it may end"."""
    began, proceed = threading.Event(), threading.Event()

    @app.task("stuck")
    def stuck() -> None:
        began.set()
        proceed.wait(LIMIT)

    yield stuck, began, proceed
    proceed.set()


async def cancelled(task: asyncio.Task[Any]) -> None:
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("times", [1, 2])
def test_app_can_run_again_after_its_drain_was_cancelled(
    app: FleetQ, stuck: Stuck, times: int
) -> None:
    task, began, proceed = stuck
    pods, submitted = [], []

    async def run() -> None:
        async with app.running() as pod:
            pods.append(pod)
            submitted.append(task.submit())
            await asyncio.to_thread(began.wait, LIMIT)

    async def main() -> str:
        running = asyncio.create_task(run())
        await wait_until_async(lambda: pods and pods[0].is_draining)
        for _ in range(times):
            running.cancel()
            await asyncio.sleep(0)
        await cancelled(running)
        async with app.running():
            assert pods[0].ended.is_set()
            proceed.set()
            step = await asyncio.to_thread(app.wait, submitted[0], LIMIT)
            return str(step.status)

    assert asyncio.run(main()) == "completed"


def test_app_can_run_again_after_its_start_was_cancelled(app: FleetQ) -> None:
    async def enter() -> None:
        async with app.running():
            raise AssertionError("the start was not cancelled")

    async def main() -> None:
        starting = asyncio.create_task(enter())
        await asyncio.sleep(0)
        starting.cancel()
        await cancelled(starting)
        async with app.running() as pod:
            assert pod.is_healthy()

    asyncio.run(main())


def test_app_can_run_after_a_failed_start(app: FleetQ, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="new thread"):
                await app.running().__aenter__()
        async with app.running() as pod:
            assert pod.is_healthy()

    asyncio.run(main())


def test_pod_leaves_while_the_default_executor_is_busy(app: FleetQ) -> None:
    proceed = threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        waiting = loop.run_in_executor(None, proceed.wait, LIMIT)
        async with app.running():
            pass
        proceed.set()
        await waiting

    asyncio.run(main())


async def exits() -> None:
    sys.exit("from a sub-task")


async def interrupts() -> None:
    raise KeyboardInterrupt


async def with_sub_task(sub_task: Callable[[], Awaitable[None]]) -> None:
    await asyncio.gather(sub_task(), asyncio.sleep(LIMIT))


async def in_callback() -> None:
    asyncio.get_running_loop().call_soon(sys.exit)
    await asyncio.sleep(0.01)


async def stops_loop() -> None:
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0.01)


async def cancels_all() -> None:
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task() and "innocent" not in repr(task):
            task.cancel()


@pytest.mark.parametrize(
    ("hostile", "error"),
    [
        (lambda: with_sub_task(exits), "SystemExit: from a sub-task"),
        (lambda: with_sub_task(interrupts), "KeyboardInterrupt"),
        (in_callback, None),
        (stops_loop, None),
        (cancels_all, None),
    ],
)
def test_function_cannot_stop_the_event_loop_of_other_functions(
    app: FleetQ, hostile: Callable[[], Any], error: str | None
) -> None:
    proceed = threading.Event()
    began = threading.Event()

    @app.task("innocent")
    async def innocent() -> str:
        began.set()
        while not proceed.is_set():
            await asyncio.sleep(0.001)
        return "fine"

    @app.task("hostile", max_retries=0)
    async def hostile_task() -> None:
        await hostile()

    with LoopThread() as thread, app.running_on(thread.loop):
        first = innocent.submit()
        assert began.wait(LIMIT)
        step = app.wait(hostile_task.submit(), LIMIT)
        proceed.set()
        assert app.wait(first, LIMIT).result == "fine"
    assert step.error == error


def test_async_function_can_clean_up_when_its_pod_leaves(app: FleetQ) -> None:
    began, cleaned = threading.Event(), []

    @app.task("tidy")
    async def tidy() -> None:
        began.set()
        try:
            await asyncio.sleep(LIMIT)
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with LoopThread() as thread, app.running_on(thread.loop) as pod:
        tidy.submit()
        assert began.wait(LIMIT)
        pod.drain(0)
    assert cleaned == [True]


def test_pod_leaves_without_a_function_that_blocks_the_loop(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fleet_q.services.worker.loop_thread.CLOSE_WITHIN", 0.01)
    began, proceed = threading.Event(), threading.Event()

    @app.task("block")
    async def block() -> None:
        began.set()
        proceed.wait(LIMIT)

    with LoopThread() as thread, app.running_on(thread.loop) as pod:
        step_id = block.submit()
        assert began.wait(LIMIT)
        pod.drain(0)
    proceed.set()
    assert app.status(step_id).status == "pending"


def test_app_runs_one_pod_at_a_time_on_a_given_loop(app: FleetQ) -> None:
    with LoopThread() as thread, app.running_on(thread.loop):
        with pytest.raises(InvalidInput, match="already"), app.running_on(thread.loop):
            pass
        assert app.pod is not None


def test_pods_that_have_left_keep_no_threads(tmp_path: Path) -> None:
    def run_a_pod() -> None:
        app = FleetQ(f"sqlite:///{tmp_path / 'fleet.db'}", settings=QUICK)

        @app.task("plain")
        def plain() -> None: ...

        @app.task("async")
        async def async_() -> None: ...

        steps = asyncio.run(ended(app, [plain.submit(), async_.submit()]))
        assert [step.status for step in steps] == ["completed"] * 2
        app.close()

    run_a_pod()  # starts what the whole process shares
    shared = set(threading.enumerate())
    for _ in range(3):
        run_a_pod()
    wait_until(lambda: set(threading.enumerate()) <= shared)
