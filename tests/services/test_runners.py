"""An error in a runner fails its step, and the pod continues."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from fleet_q import FleetQ
from fleet_q.services.app.description import LONGEST_ERROR, LONGEST_TRACEBACK, described
from tests.services.conftest import QUICK, ended
from tests.waiting import LIMIT, wait_until_async

ONE_SLOT = msgspec.structs.replace(QUICK, max_parallelism=1, max_result_bytes=1_000)


class HasNoAttributes(Exception):
    """Delegates attributes to a missing ``response``: each access raises RecursionError."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.response, name)


class HasNoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class ExitsAsText(Exception):
    def __str__(self) -> str:
        raise SystemExit("leaving")


class ExitsAsItems(dict[str, int]):
    def __len__(self) -> int:
        raise SystemExit("leaving")

    items = values = __iter__ = __len__  # type: ignore[assignment]


class FailsAsItems(ExitsAsItems):
    def __len__(self) -> int:
        raise RecursionError("too deep")

    items = values = __iter__ = __len__


@pytest.fixture(params=["thread", "loop"])
def one_slot(request: pytest.FixtureRequest) -> tuple[FleetQ, Any]:
    """An app with one slot, and a way to register a function that calls another."""
    app = FleetQ("memory://", settings=ONE_SLOT)

    def register(function: Any) -> None:
        if request.param == "thread":
            app.task("bad", max_retries=0)(lambda: function())
        else:

            @app.task("bad", max_retries=0)
            async def bad() -> Any:
                return function()

        app.task("good")(lambda: "completed")

    return app, register


def run(app: FleetQ) -> Any:
    """Run a bad step, then a good one in the same slot. Returns the bad one."""
    ids = [app.submit({"task_type": "bad"}, priority=1), app.submit({"task_type": "good"})]
    bad, good = asyncio.run(ended(app, ids))
    assert good.result == "completed"
    return bad


@pytest.mark.parametrize("error", [HasNoAttributes, HasNoText, ExitsAsText])
def test_exception_that_cannot_be_formatted_fails_its_step(
    one_slot: tuple[FleetQ, Any], error: type[BaseException]
) -> None:
    app, register = one_slot

    def bad() -> None:
        raise error("away")

    register(bad)
    step = run(app)
    assert step.status == "failed"
    assert step.error.startswith(error.__name__)
    assert "test_runners.py" in step.traceback


@pytest.mark.parametrize("result", [ExitsAsItems, FailsAsItems])
def test_result_whose_encoding_raises_fails_its_step_without_a_retry(
    one_slot: tuple[FleetQ, Any], result: Any
) -> None:
    app, register = one_slot
    register(lambda: {"value": result(a=1)})
    step = run(app)
    assert (step.status, step.retry_count) == ("failed", 0)


def test_error_of_too_large_result_names_its_size_and_the_limit(
    one_slot: tuple[FleetQ, Any],
) -> None:
    app, register = one_slot
    register(lambda: "é" * 500)
    step = run(app)
    assert (step.status, step.retry_count) == ("failed", 0)
    assert step.error == "InvalidInput: the result has 1002 bytes; the limit is 1000"


def test_result_of_exactly_the_size_limit_is_stored(one_slot: tuple[FleetQ, Any]) -> None:
    app, register = one_slot
    register(lambda: "x" * 998)
    assert run(app).result == "x" * 998


def test_step_waits_while_no_thread_can_be_started(
    app: FleetQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.task("plain")(lambda: "ran")
    refused = threading.Event()
    allowed = threading.Event()
    start = threading.Thread.start

    def starting(thread: threading.Thread) -> None:
        if thread.name.startswith("fleet-q-step") and not allowed.is_set():
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", starting)

    async def main() -> Any:
        async with app.running() as pod:
            step_id = app.submit({"task_type": "plain"})
            assert await asyncio.to_thread(refused.wait, LIMIT)
            await wait_until_async(lambda: pod.trouble is not None)
            assert pod.trouble == "no thread can be started: can't start new thread"
            assert not pod.is_healthy()
            allowed.set()
            step = await asyncio.to_thread(app.wait, step_id, LIMIT)
            assert pod.is_healthy()
            return step

    assert asyncio.run(main()).result == "ran"


def test_asyncio_task_that_is_not_created_or_is_cancelled_early_fails_its_step() -> None:
    app = FleetQ("memory://", settings=ONE_SLOT)

    @app.task("bad", max_retries=0)
    async def bad() -> None: ...

    @app.task("good")
    async def good() -> str:
        return "completed"

    def make(action: Any) -> Any:
        made = 0

        def factory(loop: Any, call: Any, **options: Any) -> Any:
            nonlocal made
            task = None
            if call.__qualname__.startswith("EventLoop"):
                made += 1
                if made == 1:
                    return action(asyncio.Task(call, loop=loop, **options))
            return task or asyncio.Task(call, loop=loop, **options)

        return factory

    def refuse(task: asyncio.Task[Any]) -> Any:
        task.cancel()
        raise RuntimeError("no task for you")

    def cancel(task: asyncio.Task[Any]) -> Any:
        task.cancel()
        return task

    async def main(action: Any) -> Any:
        asyncio.get_running_loop().set_task_factory(make(action))
        ids = [app.submit({"task_type": "bad"}, priority=1), app.submit({"task_type": "good"})]
        return await ended(app, ids)

    for action, error in ((refuse, "RuntimeError: no task for you"), (cancel, "CancelledError")):
        first, second = asyncio.run(main(action))
        assert (first.status, first.error) == ("failed", error)
        assert second.result == "completed"


def test_closed_event_loop_fails_async_steps_but_not_threads(app: FleetQ) -> None:
    @app.task("async", max_retries=0)
    async def never() -> None: ...

    app.task("plain")(lambda: "ran")
    loop = asyncio.new_event_loop()
    running = app.running()
    pod = loop.run_until_complete(running.__aenter__())
    loop.close()

    step = app.wait(app.submit({"task_type": "async"}), LIMIT)
    assert (step.status, step.error) == ("failed", "RuntimeError: Event loop is closed")
    assert app.wait(app.submit({"task_type": "plain"}), LIMIT).result == "ran"
    assert "async functions cannot run" in str(pod.trouble)
    pod.drain()
    assert pod.ended.wait(LIMIT)


def test_long_error_and_traceback_are_cut_to_their_byte_limits() -> None:
    try:
        raise ValueError("é" * 100_000)
    except ValueError as caught:
        error, trace = described(caught)

    assert error.startswith("ValueError: ééé")
    assert error.endswith("[cut: it is longer]")
    assert LONGEST_ERROR - 3 <= len(error.encode()) <= LONGEST_ERROR
    assert trace is not None
    assert "test_runners.py" in trace
    assert "[cut: it is longer]" in trace


def test_end_of_a_long_traceback_is_kept() -> None:
    error: Exception = ValueError("first")
    for number in range(2_000):
        try:
            raise ValueError(f"error {number}") from error
        except ValueError as caught:
            error = caught

    _, trace = described(error)
    assert trace is not None
    assert trace.startswith("[the beginning is cut]\n")
    assert trace.endswith("ValueError: error 1999\n")
    assert len(trace.encode()) <= LONGEST_TRACEBACK
