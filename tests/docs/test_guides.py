"""The programs of README and guides run as they are, on a virtual clock."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from fleet_q import FleetQ, Snooze, current_step
from fleet_q.testing import Fleet, isolated
from tests.docs import DOCS, ROOT, text_of


def blocks(document: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text_of(document), re.DOTALL | re.MULTILINE)


def block(page: str, part: str) -> str:
    """The only program of a page that contains the text ``part``."""
    (text,) = (text for text in blocks(DOCS / page) if part in text)
    return text


def run(program: str, names: dict[str, Any]) -> None:
    """Run a program as a module of its own, without the imports from ``__future__`` of this one."""
    exec(compile(program, "guide", "exec", dont_inherit=True), names)


@pytest.fixture(autouse=True)
def _folder_with_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data.csv", "a.csv", "b.csv"):
        Path(name).write_text("1\n2\n")


@pytest.fixture
def app() -> FleetQ:
    return FleetQ("memory://")


@pytest.fixture
def fleet(app: FleetQ) -> Iterator[Fleet]:
    with isolated(app, at="2026-11-28T20:00:00Z") as fleet:
        yield fleet


@pytest.fixture
def names(app: FleetQ, fleet: Fleet) -> dict[str, Any]:
    """What the programs of the guides take as given."""
    given: dict[str, Any] = {
        "app": app, "current_step": current_step, "Snooze": Snooze, "Path": Path, "date": date,
        "dataclass": dataclass, "Decimal": Decimal, "UUID": UUID, "uuid4": uuid4,
        "__name__": __name__, "fleet": fleet,
    }  # fmt: skip
    return given


def test_first_steps_of_the_readme_submit_and_wait() -> None:
    tasks, submitting, service = blocks(ROOT / "README.md")
    names: dict[str, Any] = {"__name__": "tasks"}
    run(tasks, names)
    with isolated(names["app"]) as fleet:
        run(submitting, names)
        fleet.drain()
        assert names["process_data"].result(names["step_id"]) == {"lines": 2}
        assert [step.status for step in fleet.steps()] == ["completed"] * 4
        run(service, names)
        with TestClient(names["service"]) as client:
            assert client.get("/queue/steps").status_code == 200


def test_every_way_to_submit_stores_the_same_kind_of_payload(
    app: FleetQ, fleet: Fleet, names: dict[str, Any]
) -> None:
    names["process_data"] = app.task("process_data")(lambda file: file)
    run(block("tasks.md", 'step_id="mine"'), names)
    assert {step.payload["task_type"] for step in fleet.steps()} == {"process_data"}
    assert {step.payload["file"] for step in fleet.steps()} == {"data.csv", "a.csv", "b.csv"}


def test_annotated_arguments_are_given_as_their_types(app: FleetQ, names: dict[str, Any]) -> None:
    source = block("tasks.md", "class Order").replace("-> Order: ...", "-> Order: return order")
    run(source, names)
    order = names["bill"].result(names["step_id"])
    assert isinstance(order, names["Order"])
    assert order.lines == ["a"]


def test_checkpoint_of_the_guide_goes_on_after_a_failure(
    app: FleetQ, fleet: Fleet, names: dict[str, Any]
) -> None:
    asked: list[int] = []

    def fetch(day: str, page: int) -> list[int]:
        asked.append(page)
        if asked == [0, 1]:
            raise OSError("away")
        return [] if page == 2 else [page]

    batches: list[str] = []

    def create_batch(day: str) -> int:
        batches.append(day)
        return len(batches)

    names["fetch"] = fetch
    names["warehouse"] = SimpleNamespace(create_batch=create_batch, insert=lambda *_: None)
    run(block("tasks.md", "create batch"), names)
    step_id = names["load"].submit(day="2026-11-28")
    fleet.drain()
    assert names["load"].result(step_id) == 2
    assert (asked, batches) == ([0, 1, 1, 2], ["2026-11-28"])


def test_snooze_of_the_guide_waits_for_the_file(fleet: Fleet, names: dict[str, Any]) -> None:
    run(block("tasks.md", "raise Snooze(60)"), names)
    step_id = names["load"].submit(file="late.csv")
    fleet.advance("3m")
    assert names["app"].status(step_id).snoozes >= 3
    Path("late.csv").touch()
    fleet.advance("1m")
    assert names["app"].status(step_id).status == "completed"


def test_policy_and_options_of_the_guide_are_valid(
    app: FleetQ, fleet: Fleet, names: dict[str, Any]
) -> None:
    names["MyServiceIsBusy"] = RuntimeError
    run(block("tasks.md", "MyServiceIsBusy"), names)
    names["send_code"] = app.task("send_code")(lambda phone: phone)
    run(block("tasks.md", "start_by=300"), names)
    run(block("tasks.md", "unique_key="), names)
    assert {step.task_type for step in fleet.steps()} == {"send_code", "refresh"}


def test_limits_of_the_guide_are_set(app: FleetQ, names: dict[str, Any]) -> None:
    run(block("queues.md", "app.queues.set"), names)
    (queue,) = app.queues.all()
    assert (queue.max_running, queue.rate, queue.paused) == (10, None, True)


def test_schedule_of_the_guide_fires_at_two_in_berlin(app: FleetQ) -> None:
    run(block("schedules.md", "@app.schedule"), {"app": app})
    with isolated(app, at="2026-11-28T20:00:00Z") as fleet:
        fleet.drain(until="2026-11-29T06:00:00Z")
        assert [step.step_id for step in fleet.steps()] == ["nightly@2026-11-29T01:00:00Z"]


def test_hooks_and_middleware_of_the_guide_are_called(
    app: FleetQ, fleet: Fleet, names: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    counted: list[str] = []

    async def add(name: str, duration: float) -> None:
        counted.append(name)

    names["statistics"] = SimpleNamespace(add=add)
    names["log_context"] = lambda **_: contextlib.nullcontext()
    names["session_of_this_step"] = lambda: contextlib.nullcontext()
    run(block("hooks.md", '@app.on("failed")'), names)
    run(block("hooks.md", "async def with_session"), names)

    @app.task("good")
    async def good() -> int:
        await asyncio.sleep(0)
        return 1

    @app.task("bad", max_retries=0)
    def bad() -> None:
        raise ValueError("no")

    steps = [good.submit(), bad.submit()]
    fleet.drain()
    assert [app.status(step_id).status for step_id in steps] == ["completed", "failed"]
    assert "bad ValueError: no" in capsys.readouterr().out
    assert counted == ["completed"]


def test_service_of_the_guide_shows_the_dashboard() -> None:
    names: dict[str, Any] = {}
    run(block("dashboard.md", "dashboard=True"), names)
    names["app"].queue()  # there is a store
    with TestClient(names["service"]) as client:
        assert "<title>Overview · FLEET-Q</title>" in client.get("/queue/").text
    names["app"].close()
