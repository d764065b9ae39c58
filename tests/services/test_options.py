"""Options and arguments of a submission stand apart, so arguments may have any name."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from typing import Any, assert_type

import pytest
from fastapi.testclient import TestClient

from fleet_q import FleetQ, InvalidInput, StepConflict
from fleet_q.core.submission import submission
from fleet_q.services.app.submitter import OPTION_NAMES
from fleet_q.services.worker.loop_thread import LoopThread
from tests.services import module_with_processes as module
from tests.services.conftest import QUICK, Run, api_of
from tests.waiting import LIMIT

NAMES = [
    "task_type",
    "$arguments",
    "priority",
    "delay",
    "step_id",
    "self",
    "args",
    "payload",
    "labels",
]


def test_unknown_option_is_refused_where_it_is_given(app: FleetQ) -> None:
    @app.task("t")
    def t() -> None: ...

    with pytest.raises(TypeError, match=r"has no option 'queu'; it has .*priority, queue"):
        t.options(queu="gpu")  # type: ignore[call-arg]


def test_options_apply_to_the_step_and_arguments_to_the_function(app: FleetQ, run: Run) -> None:
    @app.task("t", max_retries=5)
    def t(priority: str, delay: int = 0) -> list[Any]:
        return [priority, delay]

    step_id = t.options(priority=3, step_id="mine", max_retries=0).submit(priority="low", delay=7)
    assert step_id == "mine"
    step = app.status(step_id)
    assert (step.priority, step.max_retries) == (3, 0)
    assert step.payload == {"task_type": "t", "priority": "low", "delay": 7}
    assert run(step_id)[0].result == ["low", 7]
    assert app.status(t.submit(priority="high")).max_retries == 5


def test_step_is_described_and_not_submitted(app: FleetQ) -> None:
    @app.task("t", max_retries=5)
    def t(n: int) -> None: ...

    first = t.step(n=1)
    assert first.step_id != t.step(n=1).step_id
    second = t.options(step_id="mine", priority=3, after=first.step_id).step(2)
    assert (second.step_id, second.task_type, second.app) == ("mine", "t", app)
    assert app.queue() == dict.fromkeys(app.queue(), 0)
    app.submit_together([second.command, first.command])
    step = app.status("mine")
    assert (step.payload, step.priority, step.max_retries) == ({"task_type": "t", "n": 2}, 3, 5)
    assert step.status == "waiting"


def test_described_step_is_checked_like_a_submission(app: FleetQ) -> None:
    @app.task("t")
    def t(n: int) -> None: ...

    with pytest.raises(InvalidInput, match="task 't': missing a required"):
        t.step(m=1)  # type: ignore[call-arg]
    with pytest.raises(InvalidInput, match="delay must be between"):
        t.options(delay=-1).step(n=1)
    with pytest.raises(TypeError, match="takes no connection"):
        t.options(connection=object()).step(n=1)


def test_every_option_is_stored_with_the_step(app: FleetQ) -> None:
    task = app.task("t")(lambda n: None)
    gpu = task.options(
        queue="gpu", key="c7", unique_key="u", unique_for=60, labels={"day": "1"}, timeout=2.5
    )
    steps = [app.status(step_id) for step_id in (gpu.submit(1), *gpu.submit_many([{"n": 2}]))]
    for step in steps:
        assert (step.queue, step.key, step.unique_key) == ("gpu", "c7", "u")
        assert (step.labels, step.timeout) == ({"day": "1"}, 2.5)
        assert app.history(step.step_id)[0].data["timeout"] == 2.5
    with pytest.raises(InvalidInput, match="timeout must be more than 0"):
        task.options(timeout=0).submit(1)


def test_options_are_those_of_a_submission() -> None:
    names = inspect.signature(FleetQ.submit).parameters.keys() - {"self", "payload"}
    assert names == OPTION_NAMES


def test_timeout_of_a_step_overrides_that_of_its_task(app: FleetQ, run: Run) -> None:
    @app.task("short", timeout=0.001, max_retries=0)
    async def short() -> str:
        await asyncio.sleep(0.05)
        return "done"

    @app.task("any", max_retries=0)
    async def any_time() -> None:
        await asyncio.sleep(LIMIT)

    @app.executor
    async def execute(step: Any) -> None:
        await asyncio.sleep(LIMIT)

    (as_task, longer, shorter, executed) = run(
        short.submit(),
        short.options(timeout=LIMIT).submit(),
        any_time.options(timeout=0.25).submit(),
        app.submit({}, timeout=0.25, max_retries=0),
    )
    assert as_task.error == "TimeoutError: ran longer than 0.001 s"
    assert longer.result == "done"
    assert shorter.error == executed.error == "TimeoutError: ran longer than 0.25 s"


def test_timeout_of_a_step_kills_its_child_process(tmp_path: Path) -> None:
    module.app.use(settings=QUICK)
    with LoopThread() as thread, module.app.running_on(thread.loop):
        task = module.await_file.options(timeout=0.25, max_retries=0)
        step = module.app.wait(task.submit(path=str(tmp_path / "never")), LIMIT)
    assert step.error == "TimeoutError: ran longer than 0.25 s"


def test_delay_option_delays_the_step(app: FleetQ) -> None:
    task = app.task("t")(lambda: None)
    step = app.status(task.options(delay=3600).submit())
    assert step.available_ts > step.created_ts


@pytest.mark.parametrize("name", NAMES)
def test_argument_may_have_any_name(app: FleetQ, run: Run, name: str) -> None:
    received: list[Any] = []

    def anything(**what: Any) -> None:
        received.append(what)

    task = app.task("t")(anything)
    app.task("other")(lambda **_: received.append("sent elsewhere"))
    arguments = {name: "other", "n": 1}
    run(task.submit(**arguments), *task.submit_many([arguments]))
    assert received == [arguments] * 2


def test_parameter_may_be_named_task_type(app: FleetQ, run: Run) -> None:
    @app.task("purge")
    def purge(task_type: str, n: float = 1) -> list[Any]:
        return [task_type, n]

    app.task("other")(lambda: None)
    step_id = purge.submit(task_type="other", n=2)
    assert app.status(step_id).payload == {
        "task_type": "purge",
        "$arguments": {"task_type": "other", "n": 2},
    }
    assert run(step_id)[0].result == ["other", 2.0]
    with pytest.raises(InvalidInput, match="argument 'task_type' must be str, not int"):
        purge.submit(task_type=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="missing a required argument: 'task_type'"):
        app.submit({"task_type": "purge"})


def test_arguments_under_their_own_key_are_accepted_from_everywhere(app: FleetQ, run: Run) -> None:
    app.task("t")(lambda a, b=2: [a, b])
    payload = {"task_type": "t", "$arguments": {"a": 1}}
    with TestClient(api_of(app), base_url="http://localhost") as http:
        step_id = http.post("/submit", json={"payload": payload}).json()["step_id"]
    app.submit_commands([submission(payload, step_id="elsewhere")])
    steps = run(step_id, app.submit(payload), "elsewhere")
    assert [step.result for step in steps] == [[1, 2]] * 3


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        ({"$arguments": {"a": 1}, "b": 2}, "the payload has '$arguments' and other arguments: 'b'"),
        ({"$arguments": [1]}, "'$arguments' must be an object of arguments by name"),
        ({"$arguments": {}}, "missing a required argument: 'a'"),
    ],
)
def test_malformed_arguments_are_refused_at_submission_and_fail_only_their_step(
    app: FleetQ, run: Run, payload: dict[str, Any], line: str
) -> None:
    app.task("t")(lambda a, b=2: [a, b])
    payload = {"task_type": "t", **payload}
    with pytest.raises(InvalidInput) as refused:
        app.submit(payload)
    assert str(refused.value) == f"task 't': {line}"
    app.submit_commands([submission(payload, step_id="elsewhere")])
    (step,) = run("elsewhere")
    assert (step.status, step.retry_count) == ("failed", 0)
    assert step.error == f"PermanentFailure: task 't': {line}"


def test_option_among_the_arguments_is_rejected_with_a_hint(app: FleetQ) -> None:
    task = app.task("t")(lambda file: None)
    with pytest.raises(InvalidInput) as refused:
        task.submit(file="x", priority=1)  # type: ignore[call-arg]
    assert str(refused.value) == (
        "task 't': got an unexpected keyword argument 'priority'; options stand apart from the"
        " arguments"
    )


def test_positional_arguments_get_their_names(app: FleetQ) -> None:
    def add(a: int, b: int = 2, *rest: int) -> int:
        return a + b

    task = app.task("add")(add)
    assert app.status(task.submit(1, 3)).payload == {"task_type": "add", "a": 1, "b": 3}
    assert app.status(task.submit(1, b=3)).payload == {"task_type": "add", "a": 1, "b": 3}
    with pytest.raises(InvalidInput, match=r"those of \*rest have none"):
        task.submit(1, 2, 3)
    with pytest.raises(InvalidInput, match="multiple values for argument 'a'"):
        task.submit(1, a=2)  # type: ignore[misc]
    two = app.task("two")(lambda a, b: None)
    with pytest.raises(InvalidInput, match="task 'two': too many positional arguments"):
        two.submit(1, 2, 3)  # type: ignore[call-arg]


def test_submit_many_submits_a_step_for_each_mapping(app: FleetQ, run: Run) -> None:
    @app.task("double", max_retries=4)
    def double(n: int) -> int:
        return 2 * n

    step_ids = double.options(priority=2).submit_many({"n": n} for n in range(3))
    assert [app.status(step_id).priority for step_id in step_ids] == [2, 2, 2]
    assert [app.status(step_id).max_retries for step_id in step_ids] == [4, 4, 4]
    assert [step.result for step in run(*step_ids)] == [0, 2, 4]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([{"n": 1}, {"n": "2"}], "payloads[1]: task 't': argument 'n' must be int, not str"),
        ([{"n": 1}, 5], "arguments[1] must be a mapping from names to values, not int"),
    ],
)
def test_submit_many_names_the_first_mapping_that_does_not_fit_and_stores_nothing(
    app: FleetQ, arguments: Any, line: str
) -> None:
    @app.task("t")
    def t(n: int) -> None: ...

    with pytest.raises(InvalidInput) as refused:
        t.submit_many(arguments)
    assert str(refused.value) == line
    assert sum(app.queue().values()) == 0


def test_step_id_is_an_option_of_one_step(app: FleetQ) -> None:
    task = app.task("t")(lambda n: None)
    mine = task.options(step_id="mine")
    assert mine.submit(n=1) == mine.submit(n=1) == "mine"
    with pytest.raises(StepConflict):
        mine.submit(n=2)
    with pytest.raises(InvalidInput, match="step_id is for one step"):
        mine.submit_many([{"n": 1}])


def test_types_of_arguments_and_results_are_known_to_type_checkers(app: FleetQ) -> None:
    @app.task("plain")
    def plain(a: int, b: str = "") -> list[int]:
        return [a]

    @app.task("on_the_loop")
    async def on_the_loop(a: int) -> list[int]:
        return [a]

    def checked_only() -> None:
        plain.submit("1")  # type: ignore[arg-type]
        plain.options(priority=1).submit(a=1, b=2)  # type: ignore[arg-type]
        plain.options(priority="high")  # type: ignore[arg-type]
        plain.options(prio=1)  # type: ignore[call-arg]
        assert_type(plain.options(delay=1).submit(a=1), str)
        assert_type(plain.result("x"), list[int])
        assert_type(on_the_loop.result("x"), list[int])

    assert callable(checked_only)
