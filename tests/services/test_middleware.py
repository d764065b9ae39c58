"""Middleware: functions of an app that are called round the functions of its steps."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q import FleetQ, InvalidInput, Snooze, StepContext, current_step
from tests.services import module_with_middleware as module
from tests.services.conftest import QUICK, Run, ended

Next = Callable[[], Any]


def test_middleware_added_first_is_outermost(app: FleetQ, run: Run) -> None:
    order = []

    @app.middleware
    def outer(step: StepContext, call_next: Next) -> Any:
        order.append(f"outer {step.task_type} {step.queue} {step.labels} {step.attempt}")
        result = call_next()
        order.append("outer again")
        return result + 1

    @app.task("one")
    def one(n: int) -> int:
        order.append("function")
        return n

    @app.middleware
    def inner(step: StepContext, call_next: Next) -> Any:
        order.append("inner")
        assert step is current_step()
        return call_next()

    (step,) = run(one.options(queue="q", labels={"a": "b"}).submit(1))
    assert step.result == 2
    assert order == ["outer one q {'a': 'b'} 1", "inner", "function", "outer again"]
    assert one(1) == 1
    assert order[4:] == ["function"]


def test_async_middleware_is_called_round_async_functions_only(app: FleetQ, run: Run) -> None:
    @app.middleware
    async def on_loop(step: StepContext, call_next: Callable[[], Awaitable[Any]]) -> Any:
        await asyncio.sleep(0)
        return ["async", await call_next()]

    @app.middleware
    def plain(step: StepContext, call_next: Next) -> Any:
        return ["plain", call_next()]

    @app.task("coroutine")
    async def coroutine() -> int:
        return 1

    @app.executor
    def others(row: dict[str, Any]) -> Any:
        return row["PAYLOAD"]["n"]

    one, other = run(coroutine.submit(), app.submit({"n": 2}))
    assert (one.result, other.result) == (["async", 1], ["plain", 2])


def test_middleware_that_raises_fails_the_attempt(app: FleetQ, run: Run) -> None:
    @app.middleware
    def refuse(step: StepContext, call_next: Next) -> Any:
        if step.attempt == 1:
            raise ConnectionError("no room")
        raise SystemExit(3)

    @app.task("never", max_retries=1)
    def never() -> None:
        raise AssertionError("called")

    (step,) = run(never.submit())
    assert (step.status, step.error) == ("failed", "SystemExit: 3")
    assert [event.data.get("error") for event in app.history(step.step_id)][2] == (
        "ConnectionError: no room"
    )


def test_middleware_may_answer_errors_and_calls_with_a_result(app: FleetQ, run: Run) -> None:
    @app.middleware
    def cached(step: StepContext, call_next: Next) -> Any:
        if step.labels:
            return "cached"
        try:
            return call_next()
        except ZeroDivisionError:
            return "infinity"

    @app.task("divide")
    def divide() -> float:
        return 1 / 0

    one, other = run(divide.submit(), divide.options(labels={"a": "b"}).submit())
    assert (one.result, other.result) == ("infinity", "cached")


FORGETS_TO_CALL = "neither called call_next() nor returned a result; write 'return call_next()'"
FORGETS_TO_RETURN = (
    "returned None instead of the function's result; write 'return await call_next()'"
)


def test_middleware_without_a_result_fails_the_step(app: FleetQ, run: Run) -> None:
    @app.middleware
    def forgetful(step: StepContext, call_next: Next) -> Any:
        if step.task_type == "twice":
            call_next()
            return call_next()
        return None

    @app.middleware
    async def swallows(step: StepContext, call_next: Callable[[], Awaitable[Any]]) -> None:
        with suppress(ZeroDivisionError):
            await call_next()

    @app.task("plain", max_retries=0)
    def plain() -> int:
        raise AssertionError("called")

    @app.task("twice", max_retries=0)
    def twice() -> int:
        return 1

    @app.task("lost", max_retries=5)
    async def lost() -> int:
        return 1

    @app.task("error", max_retries=0)
    async def error() -> int:
        return 1 // 0

    @app.task("nothing")
    async def nothing() -> None: ...

    steps = run(*(task.submit() for task in (plain, twice, lost, error, nothing)))
    names = [f"{test_middleware_without_a_result_fails_the_step.__name__}.<locals>.forgetful"]
    names.append(names[0].replace("forgetful", "swallows"))
    assert [step.error for step in steps] == [
        f"RuntimeError: middleware {names[0]} {FORGETS_TO_CALL}",
        f"RuntimeError: middleware {names[0]} called call_next() twice; raise an error to have the"
        " step retried",
        f"PermanentFailure: middleware {names[1]} {FORGETS_TO_RETURN}",
        "ZeroDivisionError: integer division or modulo by zero",
        None,
    ]
    assert steps[2].retry_count == 0


def test_snooze_passes_through_middleware(app: FleetQ, run: Run) -> None:
    @app.middleware
    def around(step: StepContext, call_next: Next) -> Any:
        return call_next()

    seen: list[int] = []

    @app.task("later")
    def later() -> None:
        if not seen:
            seen.append(1)
            raise Snooze(0)

    (step,) = run(later.submit())
    assert (step.status, step.snoozes) == ("completed", 1)


def test_function_that_is_no_middleware_is_rejected(app: FleetQ) -> None:
    def takes_one(step: StepContext) -> None: ...

    with pytest.raises(InvalidInput, match="takes_one: it is called with the step and call_next"):
        app.middleware(takes_one)  # type: ignore[type-var]


@pytest.mark.slow
def test_middleware_of_process_tasks_is_called_in_the_child() -> None:
    module.app.use(settings=replace(QUICK, max_processes=1, max_retries=0))
    ids = [module.pid.submit(), module.pid.options(labels={"fail": "1"}).submit()]
    good, bad = asyncio.run(ended(module.app, ids))
    assert good.result["middleware"] == good.result["function"] != os.getpid()
    assert bad.error == "ValueError: not in this process"


@pytest.mark.slow
def test_process_task_fails_if_its_middleware_cannot_be_found(app: FleetQ, run: Run) -> None:
    @app.middleware
    def only_here(step: StepContext, call_next: Next) -> Any:
        return call_next()

    app.task("pid", process=True)(module.pid.function)
    (step,) = run(app.submit({"task_type": "pid"}, max_retries=0))
    assert "finds other middleware (none) than the pod has (" in (step.error or "")
