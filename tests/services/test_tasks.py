"""Tasks: which function runs a step, its arguments, its result and its errors."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

import msgspec
import pytest

from fleet_q import FleetQ, PermanentFailure, current_step
from fleet_q.core.errors import InvalidInput
from fleet_q.core.step import Submit
from fleet_q.core.submission import submission
from fleet_q.services.app.tasks import Task
from tests.services.conftest import QUICK, Run, ended


def test_payload_becomes_the_arguments_and_return_value_the_result(app: FleetQ, run: Run) -> None:
    @app.task("add")
    def add(a: int, b: int = 1) -> dict[str, int]:
        return {"sum": a + b}

    (one, two) = run(add.submit(a=1, b=2), app.submit({"task_type": "add", "a": 5}))
    assert (one.status, one.result) == ("completed", {"sum": 3})
    assert two.result == {"sum": 6}


def test_an_async_function_runs_on_the_loop_of_the_app(app: FleetQ, run: Run) -> None:
    @app.task("double")
    async def double(n: int) -> int:
        return 2 * n

    (step,) = run(double.submit(n=21))
    assert step.result == 42


def test_a_registered_function_can_still_be_called(app: FleetQ) -> None:
    @app.task("double")
    def double(n: int) -> int:
        """Return twice ``n``."""
        return 2 * n

    assert double(4) == 8
    assert isinstance(double, Task)
    assert (double.__name__, double.__doc__) == ("double", "Return twice ``n``.")


def test_failing_function_is_retried_until_max_retries(app: FleetQ, run: Run) -> None:
    attempts = []

    @app.task("flaky", max_retries=2)
    def flaky() -> None:
        attempts.append(current_step().attempt)
        raise ValueError("not today")

    (step,) = run(flaky.submit())
    assert attempts == [1, 2, 3]
    assert (step.status, step.retry_count, step.error) == ("failed", 2, "ValueError: not today")
    assert 'raise ValueError("not today")' in (step.traceback or "")


def test_a_retry_that_works_clears_the_error(app: FleetQ, run: Run) -> None:
    @app.task("second_time_lucky")
    async def second_time_lucky() -> int:
        if current_step().attempt == 1:
            raise ConnectionError("away")
        return current_step().attempt

    (step,) = run(second_time_lucky.submit())
    assert (step.status, step.result, step.retry_count, step.error) == ("completed", 2, 1, None)
    assert [e.type for e in app.history(step.step_id)] == [
        "submitted", "claimed", "retried", "claimed", "completed",
    ]  # fmt: skip


def test_permanent_failure_is_not_retried(app: FleetQ, run: Run) -> None:
    @app.task("hopeless")
    def hopeless() -> None:
        raise PermanentFailure("never")

    (step,) = run(hopeless.submit())
    assert (step.status, step.retry_count) == ("failed", 0)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"task_type": "add"}, "missing a required argument: 'a'"),
        ({"task_type": "add", "a": 1, "b": 2}, "unexpected keyword argument 'b'"),
    ],
)
def test_a_step_that_no_function_can_run_fails_at_once(
    app: FleetQ, run: Run, payload: dict[str, Any], error: str
) -> None:
    @app.task("add")
    def add(a: int) -> int:
        return a

    app.submit_commands([submission(payload, step_id="submitted-elsewhere")])
    (step,) = run("submitted-elsewhere")
    assert (step.status, step.retry_count) == ("failed", 0)
    assert error in (step.error or "")


@pytest.mark.parametrize(
    "payload",
    [{"task_type": "ad", "a": 1}, {"a": 1}, {"task_type": ["add"]}, {"task_type": None}],
)
def test_step_whose_type_a_pod_does_not_know_waits(
    app: FleetQ, run: Run, payload: dict[str, Any]
) -> None:
    @app.task("add")
    def add(a: int) -> int:
        return a

    step_id = app.submit(payload, priority=9)
    (known,) = run(add.submit(a=1))
    assert (known.status, app.status(step_id).status) == ("completed", "pending")

    app.executor(lambda row: "by the executor")
    (step,) = run(step_id)
    assert (step.status, step.result, step.retry_count) == ("completed", "by the executor", 0)


def test_pod_claims_from_its_queues_only() -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, queues=("gpu", "default")))
    app.task("t")(lambda: None)
    other = app.submit({"task_type": "t"}, queue="other", priority=9)
    step_ids = [app.submit({"task_type": "t"}, queue=queue) for queue in ("gpu", "default")]
    steps = asyncio.run(ended(app, step_ids))
    assert [step.status for step in steps] == ["completed"] * 2
    assert app.status(other).status == "pending"


@pytest.mark.parametrize("payload", ["[1]", "7"])
def test_malformed_payload_in_the_store_fails_only_its_step(
    app: FleetQ, run: Run, payload: str
) -> None:
    app.task("add")(lambda: 1)
    app.submit_commands([Submit("odd", payload, task_type="add")])

    (step,) = run("odd")
    assert (step.status, step.retry_count) == ("failed", 0)
    assert "the payload is not a JSON object" in (step.error or "")


def test_executor_runs_every_step_without_a_registered_function(app: FleetQ, run: Run) -> None:
    @app.task("add")
    def add(a: int) -> int:
        return a

    @app.executor
    def execute_task(step: dict[str, Any]) -> dict[str, Any]:
        return step

    payload = {"task_type": "else", "x": None}
    known, unknown = run(add.submit(a=1), app.submit(payload, priority=7, max_retries=2))
    assert known.result == 1
    row = unknown.result
    assert all(isinstance(row.pop(time), int) for time in ("CREATED_TS", "LAST_UPDATE_TS"))
    assert row == {
        "STEP_ID": unknown.step_id,
        "STATUS": "claimed",
        "CLAIMED_BY": "pod-1",
        "PAYLOAD": payload,
        "RETRY_COUNT": 0,
        "MAX_RETRIES": 2,
        "PRIORITY": 7,
    }


@pytest.mark.parametrize("result", [object(), math.nan, {1, 2}, b"x", "\ud800"])
def test_a_result_that_is_not_json_fails_the_step_for_good(
    app: FleetQ, run: Run, result: Any
) -> None:
    @app.task("odd")
    def odd() -> Any:
        return result

    (step,) = run(odd.submit())
    assert (step.status, step.retry_count) == ("failed", 0)
    assert "the result" in (step.error or "")


def test_error_with_characters_that_stores_reject_is_escaped(app: FleetQ, run: Run) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    @app.task("nul", max_retries=0)
    def nul() -> None:
        raise ValueError("a\0b\ud800" + "x" * 100_000)

    @app.task("odd", max_retries=0)
    def odd() -> None:
        raise Odd

    first, second = run(nul.submit(), odd.submit())
    assert (first.error or "").startswith("ValueError: a\\0b\\ud800xxx")
    assert len(first.error or "") < 3_000
    assert second.error == "Odd"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_function_that_exits_fails_its_attempt_and_nothing_else(
    app: FleetQ, run: Run, error: type[BaseException]
) -> None:
    @app.task("leave", max_retries=0)
    def leave() -> None:
        raise error("bye")

    @app.task("leave_loop", max_retries=0)
    async def leave_loop() -> None:
        raise error("bye")

    @app.task("stay")
    async def stay() -> str:
        return "here"

    *left, stayed = run(leave.submit(), leave_loop.submit(), stay.submit())
    assert [(each.status, each.error) for each in left] == [
        ("failed", f"{error.__name__}: bye")
    ] * 2
    assert stayed.result == "here"


def test_submit_rejects_arguments_that_the_function_does_not_accept(app: FleetQ) -> None:
    @app.task("add")
    def add(a: int) -> int:
        return a

    with pytest.raises(InvalidInput, match="missing a required argument: 'a'"):
        add.submit()  # type: ignore[call-arg]
    with pytest.raises(InvalidInput, match="unexpected keyword argument 'c'"):
        add.submit(a=1, c=2)  # type: ignore[call-arg]
    assert sum(app.queue().values()) == 0


def test_max_retries_come_from_the_call_else_the_task_else_the_settings(app: FleetQ) -> None:
    @app.task("add", max_retries=7)
    def add(a: int) -> int:
        return a

    assert app.status(add.submit(a=1)).max_retries == 7
    assert app.status(app.submit({"task_type": "add", "a": 1})).max_retries == 7
    assert app.status(app.submit({"task_type": "add", "a": 1}, max_retries=0)).max_retries == 0
    assert app.status(app.submit({"task_type": "other"})).max_retries == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": math.nan}, "timeout"),
        ({"timeout": math.inf}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": 1.5}, "max_retries"),
        ({"max_retries": 2**40}, "max_retries"),
        ({"max_retries": True}, "max_retries"),
    ],
)
def test_task_options_out_of_range_are_rejected(
    app: FleetQ, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        app.task("t", **options)(time.sleep)


@pytest.mark.parametrize("name", ["", None, 3, b"t"])
def test_task_type_must_be_a_non_empty_string(app: FleetQ, name: Any) -> None:
    with pytest.raises(InvalidInput, match="task type"):
        app.task(name)


def test_task_decorator_without_parentheses_is_rejected(app: FleetQ) -> None:
    with pytest.raises(InvalidInput, match=r'@app\.task\("'):

        @app.task  # type: ignore[arg-type]
        def forgotten() -> None: ...


def test_process_function_must_be_importable(app: FleetQ) -> None:
    def local() -> None: ...

    class Callable:
        def __call__(self) -> None: ...

    for function in (lambda: None, local, Callable()):
        with pytest.raises(InvalidInput, match="'t': a child process finds a function by its name"):
            app.task("t", process=True)(function)


def test_object_with_an_async_call_method_runs_on_the_event_loop(app: FleetQ, run: Run) -> None:
    class Greet:
        async def __call__(self, name: str) -> str:
            return f"hello {name}"

    (step,) = run(app.task("greet")(Greet()).submit(name="A"))
    assert step.result == "hello A"


def test_task_type_registered_twice_is_rejected(app: FleetQ) -> None:
    app.task("t")(lambda: None)
    with pytest.raises(InvalidInput, match="already"):
        app.task("t")(lambda: None)

    async def sleepy() -> None: ...

    with pytest.raises(InvalidInput, match="async"):
        app.task("v", process=True)(sleepy)


def test_current_step_raises_outside_of_a_step() -> None:
    with pytest.raises(RuntimeError, match="within a function"):
        current_step()
