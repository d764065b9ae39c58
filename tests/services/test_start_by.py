"""Steps that must begin by some time, from Python, the command line and HTTP; their timeouts."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from starlette.testclient import TestClient

from fleet_q import FleetQ, InvalidInput, current_step
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core.step import EXPIRED
from fleet_q.services.worker.loop_thread import LoopThread
from tests.conformance.clock import FakeClock
from tests.services import module_with_processes as module
from tests.services.conftest import QUICK, Command, Run, api_of
from tests.waiting import LIMIT, wait_until


def test_late_step_never_runs_and_shows_why(run: Run) -> None:
    clock = FakeClock()
    app = FleetQ(MemoryStore(clock), settings=QUICK)
    calls: list[str] = []

    @app.task("t")
    def call(name: str) -> None:
        calls.append(name)

    late = call.options(start_by=60).submit(name="late")
    (other,) = call.options(start_by=3600).submit_many([{"name": "other"}])
    clock.advance(61)
    with LoopThread() as thread, app.running_on(thread.loop):
        steps = [app.wait(step_id, LIMIT) for step_id in (late, other)]
    assert [(step.status, step.error) for step in steps] == [
        ("cancelled", EXPIRED),
        ("completed", None),
    ]
    assert calls == ["other"]
    assert steps[0].start_by_ts == "2023-11-14T22:14:20Z"


def test_leader_cancels_a_late_step_of_which_nobody_claims() -> None:
    clock = FakeClock()
    app = FleetQ(MemoryStore(clock), settings=QUICK)
    app.task("t")(lambda: None)
    step_id = app.submit({"task_type": "unknown here"}, start_by=60)
    clock.advance(61)
    with LoopThread() as thread, app.running_on(thread.loop):
        wait_until(lambda: app.status(step_id).status == "cancelled")


def test_recovery_by_hand_cancels_late_steps(app: FleetQ) -> None:
    clock = FakeClock()
    app = FleetQ(MemoryStore(clock), settings=QUICK)
    step_id = app.submit({}, start_by=60)
    clock.advance(61)
    app.recover()
    assert app.status(step_id).error == EXPIRED


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_by": -1}, "start_by must be between 0 and"),
        ({"start_by": "2h"}, "start_by must be a number of seconds"),
        ({"start_by": 0}, "start_by (0 s) must be more than delay (0 s)"),
        ({"start_by": 5, "delay": 5}, "start_by (5 s) must be more than delay (5 s)"),
    ],
)
def test_invalid_times_are_refused(app: FleetQ, options: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        app.submit({}, **options)
    assert message in str(refused.value)
    assert app.queue()["pending"] == 0


def test_command_takes_a_time_to_begin_by_and_a_timeout(fleet_q: Command) -> None:
    store = ["--store", "sqlite:///q.db"]
    code, step_id, _ = fleet_q("submit", "{}", "--start-by", "2h", "--timeout", "90", *store)
    assert code == 0
    step = json.loads(fleet_q("status", step_id.strip(), "--json", *store)[1])
    created = datetime.fromisoformat(step["created_ts"]).replace(tzinfo=UTC)
    assert datetime.fromisoformat(step["start_by_ts"]) - created == timedelta(hours=2)
    assert step["timeout"] == 90
    history = fleet_q("history", step_id.strip(), *store)[1]
    assert ["start_by_ts", step["start_by_ts"].removesuffix("Z")] == next(
        line.partition(".")[0].split() for line in history.splitlines() if "start_by_ts" in line
    )
    code, _, error = fleet_q("submit", "{}", "--start-by", "soon", *store)
    assert code != 0
    assert "'soon' is not a length of time; write 30d, 12h, 5m, 10s or a number of seconds" in error


def test_http_takes_a_time_to_begin_by_and_a_timeout(app: FleetQ) -> None:
    client = TestClient(api_of(app))
    body = {"payload": {}, "start_by": 7_200, "timeout": 90}
    step_id = client.post("/submit", json=body).json()["step_id"]
    step = client.get(f"/status/{step_id}").json()
    assert step["start_by_ts"] > step["created_ts"]
    assert (step["timeout"], step["snoozes"]) == (90, 0)
    assert client.post("/submit", json={"payload": {}, "start_by": 0}).status_code == 422


def test_start_by_is_refused_on_a_connection(tmp_path: Path) -> None:
    import sqlite3

    app = FleetQ(f"sqlite:///{tmp_path}/q.db", settings=QUICK)
    app.submit({})
    connection = sqlite3.connect(tmp_path / "q.db")
    with pytest.raises(InvalidInput, match="start_by cannot be combined with connection"):
        app.submit({}, start_by=5, connection=connection)
    connection.close()
    app.close()


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_timeout_of_a_step_ends_its_attempt(app: FleetQ, run: Run, kind: str) -> None:
    @app.task("plain", timeout=3600, max_retries=0)
    def plain() -> None:
        step = current_step()
        wait_until(lambda: step.cancelled)

    @app.task("async", max_retries=0)
    async def on_the_loop() -> None:
        await asyncio.sleep(LIMIT)

    (step,) = run(app.submit({"task_type": kind}, timeout=0.05))
    assert (step.status, step.error) == ("failed", "TimeoutError: ran longer than 0.05 s")


@pytest.mark.slow
def test_timeout_of_a_step_kills_its_child_process() -> None:
    module.app.use(settings=replace(QUICK, max_processes=1))
    payload = {"task_type": "await file", "path": "/nowhere/at/all"}
    with LoopThread() as thread, module.app.running_on(thread.loop):
        step_id = module.app.submit(payload, timeout=0.2, max_retries=0)
        step = module.app.wait(step_id, LIMIT)
    assert (step.status, step.error) == ("failed", "TimeoutError: ran longer than 0.2 s")
