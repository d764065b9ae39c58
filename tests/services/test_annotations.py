"""How steps carry the types that a function's parameters and its result are annotated with."""

from __future__ import annotations

import functools
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal, Unpack

import msgspec
import pytest
from fastapi.testclient import TestClient

from fleet_q import FleetQ, InvalidInput, StepNotCompleted
from fleet_q.core.submission import submission
from fleet_q.services.worker.loop_thread import LoopThread
from tests.services import module_with_types as types
from tests.services.conftest import QUICK, Command, Run, api_of
from tests.services.module_with_types import (
    Account,
    Address,
    Colour,
    GiftOrder,
    Line,
    Order,
    Point,
    Sample,
)
from tests.waiting import LIMIT

ID = uuid.UUID(int=7)
ORDER = Order(ID, [Line("a"), Line("b", 3)], date(2026, 11, 28), Decimal("9.90"))
SAMPLE = Sample(datetime(2026, 11, 28, 12, tzinfo=UTC), {Colour.RED})
ACCOUNT = Account(name="Ada", since=date(2026, 1, 1))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Order, ORDER),
        (list[Order], [ORDER]),
        (Order | None, ORDER),
        (Order | None, None),
        (dict[str, Line], {"x": Line("a")}),
        (dict[uuid.UUID, int], {ID: 1}),
        (Sample, SAMPLE),
        (Account, ACCOUNT),
        (list[Account], [ACCOUNT]),
        (Account | None, ACCOUNT),
        (datetime, datetime(2026, 11, 28, 12, 30, 0, 5)),
        (date, date(2026, 11, 28)),
        (timedelta, timedelta(days=1, seconds=2.5)),
        (uuid.UUID, ID),
        (Decimal, Decimal("1.50")),
        (Colour, Colour.RED),
        (bytes, b"\x00\xff"),
        (Path, Path("/tmp/x")),
        (Point, Point(1, 2)),
        (Address, {"city": "Rome", "since": date(2026, 1, 1)}),
        (Colour | None, Colour.RED),
        (tuple[int, str], (1, "x")),
        (set[str], {"b", "a"}),
        (frozenset[int], frozenset({3})),
        (float, 1.5),
        (int | str, "x"),
        (Annotated[int, msgspec.Meta(ge=1)], 1),
        (Literal["a", "b"], "b"),
        (Iterable[Line], [Line("a")]),
        (dict[str, object], {"x": [1, None]}),
    ],
)
def test_argument_and_result_arrive_as_the_annotated_type(
    app: FleetQ, run: Run, kind: Any, value: Any
) -> None:
    received = []

    def function(value: Any) -> Any:
        received.append(value)
        return value

    function.__annotations__ = {"value": kind, "return": kind}
    task = app.task("t")(function)
    (step,) = run(task.submit(value=value))
    assert (step.status, step.error) == ("completed", None)
    assert received == [value]
    assert type(received[0]) is type(value)
    result = task.result(step.step_id, LIMIT)
    assert (result, type(result)) == (value, type(value))
    assert step.result == step.payload["value"]


def test_json_form_of_an_argument_is_accepted(app: FleetQ, run: Run) -> None:
    received = []

    @app.task("bill")
    def bill(order: Order) -> None:
        received.append(order)

    order = {"id": str(ID), "lines": [{"sku": "a"}], "due": "2026-11-28", "price": "1.10"}
    run(bill.submit(order=order), app.submit({"task_type": "bill", "order": order}))  # type: ignore[arg-type]
    assert received == [Order(ID, [Line("a")], date(2026, 11, 28), Decimal("1.10"))] * 2


def test_instance_of_a_subclass_of_a_json_type_is_accepted(app: FleetQ, run: Run) -> None:
    class Name(str): ...

    class Share(float): ...

    @app.task("t")
    def t(level: int, name: str, share: float, both: tuple[str, Decimal]) -> None: ...

    step_id = t.submit(
        level=HTTPStatus.OK, name=Name("x"), share=Share(0.5), both=(Name("y"), Decimal(1))
    )
    payload = {"task_type": "t", "level": 200, "name": "x", "share": 0.5, "both": ["y", "1"]}
    assert app.status(step_id).payload == payload
    assert run(step_id)[0].status == "completed"


def test_functions_without_annotations_take_any_json(app: FleetQ, run: Run) -> None:
    task = app.task("t")(lambda a, b=1, **more: [a, b, more])
    (step,) = run(task.submit(a={"x": [1]}, b="text", c=None))
    assert step.result == [{"x": [1]}, "text", {"c": None}]
    with pytest.raises(InvalidInput, match="payload is not JSON"):
        task.submit(a=date(2026, 1, 1))


def test_an_async_function_returns_its_annotated_type(app: FleetQ, run: Run) -> None:
    @app.task("bill")
    async def bill(order: Order) -> Order:
        return order

    (step,) = run(bill.submit(order=ORDER))
    assert bill.result(step.step_id, LIMIT) == ORDER


def test_types_pass_through_a_child_process() -> None:
    types.app.use(settings=QUICK)
    with LoopThread() as thread, types.app.running_on(thread.loop):
        step_id = types.bill.submit(order=ORDER, to=Path("x"))
        result = types.bill.result(step_id, LIMIT)
    assert result == Order(ID, ORDER.lines, ORDER.due, Decimal("19.80"))


def bill(order: Order, count: int = 1, *, colour: Colour = Colour.RED, **more: float) -> None: ...


LINES = [
    ({}, "missing a required argument: 'order'"),
    ({"order": {"id": str(ID)}}, "argument 'order' must be Order: Object missing required field"),
    ({"order": "x"}, "argument 'order' must be Order, not str"),
    (
        {"order": {"id": str(ID), "lines": [{"sku": "a", "count": "3"}]}},
        "argument 'order' must be Order: Expected int, got str at lines[0].count",
    ),
    ({"order": "ORDER", "count": "3"}, "argument 'count' must be int, not str"),
    ({"order": "ORDER", "count": True}, "argument 'count' must be int, not bool"),
    ({"order": "ORDER", "count": None}, "argument 'count' must be int, not null"),
    ({"order": "ORDER", "colour": "blue"}, "argument 'colour' must be Colour: Invalid enum value"),
    ({"order": "ORDER", "size": "XL"}, "argument 'size' must be float, not str"),
]


def arguments_of(arguments: dict[str, Any]) -> dict[str, Any]:
    json = msgspec.to_builtins(ORDER)
    return {name: json if value == "ORDER" else value for name, value in arguments.items()}


@pytest.mark.parametrize(("arguments", "line"), LINES)
def test_argument_that_does_not_fit_is_refused_at_submission(
    app: FleetQ, arguments: dict[str, Any], line: str
) -> None:
    task = app.task("bill")(bill)
    arguments = arguments_of(arguments)
    payload = {"task_type": "bill", **arguments}
    for submit in (
        lambda: task.submit(**arguments),
        lambda: app.submit(payload),
        lambda: app.submit_many([payload]),
    ):
        with pytest.raises(InvalidInput) as refused:
            submit()
        assert f"task 'bill': {line}" in str(refused.value)
        assert "\n" not in str(refused.value)
    with TestClient(api_of(app), base_url="http://localhost") as http:
        answer = http.post("/submit", json={"payload": payload})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(f"task 'bill': {line}")
    assert sum(app.queue().values()) == 0


def test_command_line_with_app_refuses_what_does_not_fit(fleet_q: Command, tmp_path: Path) -> None:
    (tmp_path / "typed_app.py").write_text(
        "from fleet_q import FleetQ\n"
        "app = FleetQ('sqlite:///typed.db')\n"
        "@app.task('count')\n"
        "def count(n: int) -> int: return n\n"
    )
    payload = '{"task_type": "count", "n": "3"}'
    code, out, err = fleet_q("submit", "--app", "typed_app:app", payload)
    assert (code, out) == (1, "")
    assert err == "fleet-q: task 'count': argument 'n' must be int, not str\n"


@pytest.mark.parametrize(("arguments", "line"), LINES)
def test_payload_that_does_not_fit_fails_only_its_step_and_at_once(
    app: FleetQ, run: Run, arguments: dict[str, Any], line: str
) -> None:
    app.task("bill")(bill)
    app.task("other")(lambda: "ran")
    payload = {"task_type": "bill", **arguments_of(arguments)}
    app.submit_commands([submission(payload, step_id="submitted-elsewhere")])
    misfit, other = run("submitted-elsewhere", app.submit({"task_type": "other"}))
    assert (misfit.status, misfit.retry_count) == ("failed", 0)
    assert (misfit.error or "").startswith(f"PermanentFailure: task 'bill': {line}")
    assert other.result == "ran"


def test_pydantic_errors_are_one_line(app: FleetQ) -> None:
    @app.task("open")
    def open_account(account: Account) -> None: ...

    with pytest.raises(InvalidInput) as refused:
        app.submit({"task_type": "open", "account": {"since": "x"}})
    line = str(refused.value)
    assert line.startswith("task 'open': argument 'account' must be Account: name: Field required;")
    assert "\n" not in line


def test_instance_that_would_lose_fields_is_refused(app: FleetQ) -> None:
    task = app.task("bill")(bill)
    for order in (GiftOrder(ID, [], message="hi"), SAMPLE):
        with pytest.raises(InvalidInput, match="argument 'order' must be Order"):
            task.submit(order=order)  # type: ignore[arg-type]


def test_same_set_makes_the_same_payload(app: FleetQ) -> None:
    @app.task("paint")
    def paint(names: set[str]) -> None: ...

    names = [f"name-{number}" for number in range(50)]
    paint.options(step_id="one").submit(names=set(names))
    assert app.status("one").payload["names"] == sorted(names)


class Engine:
    """A class that no step can carry."""


def test_parameter_that_no_step_can_carry_must_have_a_default(app: FleetQ, run: Run) -> None:
    def required(engine: Engine) -> None: ...

    def nested(engines: list[Engine]) -> None: ...

    def union(engine: Engine | str) -> None: ...

    for function in (required, nested, union):
        with pytest.raises(InvalidInput, match=r"task 't': argument '.*': a step cannot carry"):
            app.task("t")(function)

    @app.task("optional")
    def optional(n: int, engine: Engine | None = None) -> int:
        return n

    (step,) = run(optional.submit(n=1))
    assert step.result == 1
    with pytest.raises(InvalidInput, match="argument 'engine': a step cannot carry Engine"):
        app.submit({"task_type": "optional", "n": 1, "engine": {}})


def test_value_of_an_ambiguous_union_is_rejected_if_it_would_arrive_as_another_type(
    app: FleetQ, run: Run
) -> None:
    received = {}

    @app.task("t")
    def t(file: str | Path, order: Order | Sample | dict[str, Any] | None = None) -> str | Path:
        received[file] = order
        return file

    orders: dict[str | Path, Any] = {"a": ORDER, "b": SAMPLE, "c": {"x": 1}, "d": None}
    steps = run(*(t.submit(file, order) for file, order in orders.items()))
    assert received == orders
    assert [step.result for step in steps] == list(orders)
    assert t.result(steps[0].step_id) == "a"
    with pytest.raises(InvalidInput, match=r"must be str \| Path: it would arrive as str"):
        t.submit(Path("x"))
    with pytest.raises(InvalidInput, match=r"must be str \| Path: it fits none of them"):
        app.submit({"task_type": "t", "file": 3})


def test_default_of_none_allows_none(app: FleetQ, run: Run) -> None:
    def count(n: int = None) -> Any:  # type: ignore[assignment]  # noqa: RUF013
        return n

    (step,) = run(app.task("t")(count).submit(n=None))  # type: ignore[arg-type]
    assert (step.status, step.result) == ("completed", None)


def test_annotation_may_name_a_class_that_is_defined_later() -> None:
    types.app.use(settings=QUICK)
    with LoopThread() as thread, types.app.running_on(thread.loop):
        step_id = types.late.submit(types.Later(3), types.Early(types.Later(4)))
        assert types.late.result(step_id, LIMIT) == types.Later(7)


def test_argument_whose_annotation_is_never_defined_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        types.unknown.submit(value=1)
    assert str(refused.value) == (
        "task 'unknown': argument 'value': its annotation cannot be resolved: name 'Missing' is not"
        " defined"
    )


def test_result_of_a_step_that_did_not_complete_raises(app: FleetQ, run: Run) -> None:
    @app.task("fails", max_retries=0)
    def fails() -> int:
        raise ValueError("no")

    (step,) = run(fails.submit())
    with pytest.raises(StepNotCompleted, match="is failed: ValueError: no"):
        fails.result(step.step_id)


def test_result_that_does_not_fit_its_annotation_is_stored_as_it_is(app: FleetQ, run: Run) -> None:
    """The work is done, so the step does not fail."""

    def sloppy() -> Order:
        return ["not an order"]  # type: ignore[return-value]

    task = app.task("t")(sloppy)
    (step,) = run(task.submit())
    assert (step.status, step.result) == ("completed", ["not an order"])
    with pytest.raises(InvalidInput, match="the result must be Order, not"):
        task.result(step.step_id)


@pytest.mark.parametrize(
    "wrapped",
    [lambda f: functools.partial(f, count=1), lambda f: functools.wraps(f)(lambda **k: f(**k))],
)
def test_wrapped_function_keeps_its_annotations(app: FleetQ, wrapped: Callable[[Any], Any]) -> None:
    task = app.task("bill")(wrapped(bill))
    with pytest.raises(InvalidInput, match="argument 'order' must be Order, not int"):
        task.submit(order=1)


def test_further_arguments_are_of_the_annotated_type(app: FleetQ) -> None:
    def each(**more: Line) -> None: ...

    def by_name(**more: Unpack[Address]) -> None: ...

    task = app.task("each")(each)
    assert app.status(task.submit(a=Line("x"))).payload["a"] == {"sku": "x", "count": 1}
    with pytest.raises(InvalidInput, match="argument 'b' must be Line, not int"):
        task.submit(b=1)  # type: ignore[arg-type]
    app.status(app.task("by_name")(by_name).submit(city="Rome", since="2026-01-01"))  # type: ignore[arg-type]


def test_pydantic_is_imported_only_by_who_uses_it() -> None:
    code = (
        "import sys, dataclasses\n"
        "from fleet_q import FleetQ\n"
        "app = FleetQ('memory://')\n"
        "@dataclasses.dataclass\n"
        "class D:\n    a: int\n"
        "task = app.task('t')(lambda d: 1)\n"
        "def typed(d: D) -> D: return d\n"
        "app.task('u')(typed).submit(d=D(1))\n"
        "print('pydantic' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
