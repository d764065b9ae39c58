"""The retry policy of a task: which failures are retried, and after which delays."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from fleet_q import FleetQ, InvalidInput
from fleet_q.services.worker.loop_thread import LoopThread
from tests.services import module_with_processes as module
from tests.services.conftest import QUICK, Run
from tests.waiting import LIMIT


class Busy(ConnectionError):
    """A failure that passes."""


@pytest.mark.parametrize(
    ("policy", "error", "tries"),
    [
        ({}, ValueError, 3),
        ({"retry_on": ConnectionError}, Busy, 3),
        ({"retry_on": ConnectionError}, ValueError, 1),
        ({"retry_on": (KeyError, ConnectionError)}, Busy, 3),
        ({"retry_on": ()}, Busy, 1),
        ({"give_up_on": ConnectionError}, Busy, 1),
        ({"give_up_on": (KeyError, Busy)}, ConnectionError, 3),
        ({"retry_on": Exception, "give_up_on": Busy}, Busy, 1),
        ({"retry_on": OSError}, SystemExit, 1),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_classes_of_exceptions_decide_whether_a_failure_is_retried(
    app: FleetQ, run: Run, policy: dict[str, Any], error: type[BaseException], tries: int, kind: str
) -> None:
    calls = []

    def plain() -> None:
        calls.append(1)
        raise error("no")

    async def on_the_loop() -> None:
        plain()

    task = app.task("t", max_retries=2, **policy)(plain if kind == "plain" else on_the_loop)
    (step,) = run(task.submit())
    assert (step.status, len(calls)) == ("failed", tries)
    assert step.error == f"{error.__name__}: no"


@pytest.mark.parametrize(
    ("policy", "retries"),
    [
        ({}, 1),
        ({"retry_on": ConnectionError}, 0),
        ({"retry_on": OSError}, 1),  # the class of TimeoutError
        ({"give_up_on": TimeoutError}, 0),
    ],
)
def test_timeout_counts_as_a_timeout_error(
    app: FleetQ, run: Run, policy: dict[str, Any], retries: int
) -> None:
    @app.task("slow", timeout=0.01, max_retries=1, **policy)
    async def slow() -> None:
        await asyncio.sleep(LIMIT)

    (step,) = run(slow.submit())
    assert (step.status, step.retry_count) == ("failed", retries)
    assert step.error == "TimeoutError: ran longer than 0.01 s"


@pytest.mark.parametrize("name", ["gives up", "gives up elsewhere"])
def test_exceptions_of_child_processes_are_classified(name: str) -> None:
    module.app.use(settings=QUICK)
    with LoopThread() as thread, module.app.running_on(thread.loop):
        step = module.app.wait(module.app.submit({"task_type": name}), LIMIT)
    assert (step.status, step.retry_count, step.error) == ("failed", 0, "Refusal: no")


def test_child_process_that_is_killed_is_retried_whatever_the_policy_says() -> None:
    module.app.use(settings=QUICK)
    with LoopThread() as thread, module.app.running_on(thread.loop):
        step = module.app.wait(module.app.submit({"task_type": "killed, with policy"}), LIMIT)
    assert (step.status, step.retry_count) == ("failed", 1)


def test_delays_are_those_of_the_task(app: FleetQ) -> None:
    """A step whose delay is that of the settings, an hour, would not end within the test."""
    app.use(settings=msgspec.structs.replace(QUICK, retry_base_delay=3600, retry_max_delay=3600))
    asked = []

    def strategy(attempt: int) -> float:
        asked.append(attempt)
        return 0.001

    @app.task("curve", max_retries=2, base_delay=0.001, max_delay=0.002, strategy="linear")
    def curve() -> None:
        raise ValueError("no")

    @app.task("function", max_retries=2, strategy=strategy)
    def function() -> None:
        raise ValueError("no")

    @app.task("slow", max_retries=1, timeout=0.01, base_delay=0)
    async def slow() -> None:
        await asyncio.sleep(LIMIT)

    step_ids = [curve.submit(), function.submit(), slow.submit()]
    with LoopThread() as thread, app.running_on(thread.loop):
        steps = [app.wait(step_id, LIMIT) for step_id in step_ids]
    assert [step.retry_count for step in steps] == [2, 2, 1]
    assert asked == [1, 2, 3]


def test_strategy_that_raises_harms_no_step(app: FleetQ, run: Run) -> None:
    def strategy(attempt: int) -> float:
        raise RuntimeError("broken")

    @app.task("t", max_retries=1, max_delay=0.001, strategy=strategy)
    def fails() -> None:
        raise ValueError("no")

    (step,) = run(fails.submit())
    assert (step.retry_count, step.error) == (1, "ValueError: no")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"base_delay": -1}, "base_delay must be between 0"),
        ({"max_delay": "5"}, "max_delay must be a number of seconds"),
        ({"base_delay": 5, "max_delay": 1}, "max_delay \\(1 s\\) must not be less than base_delay"),
        (
            {"strategy": "cubic"},
            "strategy must be exponential, linear, fibonacci or a function",
        ),
        ({"retry_on": "ValueError"}, "retry_on must be an exception class"),
        ({"give_up_on": (ValueError, int)}, "give_up_on must be an exception class"),
    ],
)
def test_policy_out_of_range_is_rejected_at_registration(
    app: FleetQ, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=f"task 't': {says}"):
        app.task("t", **options)(time.sleep)
