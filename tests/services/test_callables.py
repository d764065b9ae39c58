"""Which functions can be registered, and functions that return awaitables."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet_q import FleetQ, current_step
from fleet_q.core.errors import InvalidInput
from fleet_q.services.worker.loop_thread import LoopThread
from tests.services import module_with_processes as module
from tests.services.conftest import QUICK, Run
from tests.waiting import LIMIT


async def work(n: int = 1) -> int:
    await asyncio.sleep(0)
    return n


def decorated(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


class Awaitable:
    def __await__(self) -> Any:
        return work().__await__()


async def nested() -> Any:
    return work()


@pytest.mark.parametrize(
    "function",
    [
        work,
        functools.partial(work, n=1),
        functools.partial(work, 1),
        decorated(work),
        lambda n=1: work(n),
        lambda: Awaitable(),
        nested,
    ],
)
def test_awaitable_return_value_is_awaited(
    app: FleetQ, run: Run, function: Callable[..., Any]
) -> None:
    (step,) = run(app.task("work")(function).submit())
    assert (step.status, step.result) == ("completed", 1)


def test_task_can_be_registered_under_another_name(app: FleetQ, run: Run) -> None:
    alias = app.task("alias")(app.task("main")(work))
    main, other = run(app.submit({"task_type": "main", "n": 2}), alias.submit(n=3))
    assert (main.result, other.result) == (2, 3)


def test_awaited_part_of_a_function_has_its_timeout_and_context(app: FleetQ, run: Run) -> None:
    stopped = []

    async def slow() -> None:
        attempt = current_step().attempt
        try:
            await asyncio.sleep(LIMIT)
        finally:
            stopped.append(attempt)

    (step,) = run(app.task("slow", timeout=0.05, max_retries=0)(lambda: slow()).submit())
    assert step.error == "TimeoutError: ran longer than 0.05 s"
    assert stopped == [1]


def test_awaitable_returned_after_the_timeout_is_not_awaited() -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, max_parallelism=1))
    go_on, awaited = threading.Event(), []

    async def late() -> None:
        awaited.append(True)

    def first() -> Any:
        go_on.wait(LIMIT)
        return late()

    app.task("first", timeout=0.01, max_retries=0)(first)
    app.task("next")(lambda: "ran")

    async def main() -> Any:
        async with app.running():
            step = await asyncio.to_thread(app.wait, app.submit({"task_type": "first"}), LIMIT)
            go_on.set()
            for _ in range(3):
                await asyncio.to_thread(app.wait, app.submit({"task_type": "next"}), LIMIT)
            return step

    assert asyncio.run(main()).status == "failed"
    assert awaited == []


def generate() -> Iterator[int]:
    yield 1


async def generate_async() -> AsyncIterator[int]:
    yield 1


class Generates:
    def __call__(self) -> Iterator[int]:
        yield 1


def by_position(a: Any, /, b: Any = 1) -> None: ...


def all_by_position(*args: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (generate, "generator"),
        (generate_async, "generator"),
        (functools.partial(generate), "generator"),
        (Generates(), "generator"),
        (by_position, "'a' is positional-only"),
        (all_by_position, "only positional arguments"),
        (dict, "class"),
        (Awaitable, "class"),
        (3, "must be a function, not int"),
        (None, "must be a function, not NoneType"),
        (min, "parameters are unknown|positional"),
        (sum, "positional-only"),
        (functools.singledispatch(work), "type of its first argument"),
    ],
)
def test_function_not_callable_by_name_is_rejected_at_registration(
    app: FleetQ, function: Callable[..., Any], reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason) as refused:
        app.task("t")(function)
    assert str(refused.value).startswith("task 't': ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("function", [lambda: None, lambda a, b: None, generate, dict, 3])
def test_executor_that_does_not_accept_one_argument_is_rejected(
    app: FleetQ, function: Callable[..., Any]
) -> None:
    with pytest.raises(InvalidInput, match="executor: "):
        app.executor(function)


def test_function_in_a_process_that_returns_a_coroutine_fails_with_one_line(tmp_path: Path) -> None:
    module.app.use(settings=QUICK)
    with LoopThread() as thread, module.app.running_on(thread.loop):
        step = module.app.wait(
            module.app.submit({"task_type": "return coroutine"}, max_retries=0), LIMIT
        )
    assert step.error == (
        "InvalidInput: the function returned an awaitable, which cannot be awaited here"
    )


def waits(app: FleetQ) -> Any:
    return app.wait("child", LIMIT)


async def waits_async(app: FleetQ) -> Any:
    return app.wait("child", LIMIT)


async def waits_in_thread(app: FleetQ) -> Any:
    return await asyncio.to_thread(app.wait, "child", LIMIT)


@pytest.mark.parametrize("function", [waits, waits_async, waits_in_thread])
def test_waiting_for_a_step_of_the_app_within_one_of_its_functions_fails_at_once(
    app: FleetQ, run: Run, function: Callable[..., Any]
) -> None:
    app.task("child")(lambda: 1)
    parent = app.task("parent")(functools.partial(function, app))
    app.submit({"task_type": "child"}, step_id="child", delay=LIMIT * 2)
    (step,) = run(parent.submit())
    assert (step.status, step.retry_count) == ("failed", 0)
    assert "waits for step 'child' of the same app" in (step.error or "")


def test_waiting_for_a_step_of_another_app_is_allowed(app: FleetQ, run: Run) -> None:
    other = FleetQ("memory://", settings=QUICK)
    other.cancel(other.submit({}, step_id="child"))
    (step,) = run(app.task("parent")(lambda: other.wait("child", LIMIT).status).submit())
    assert step.result == "cancelled"
