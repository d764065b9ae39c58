"""Pruning by the command, by the app, and by the leader."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fleet_q import FleetQ
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.core.errors import InvalidInput, StoreError, StoreUnavailable
from fleet_q.core.ports import Pruned, StoreTraits
from fleet_q.services.worker.careful_log import wait_for_handlers
from tests.services.conftest import Command, Run
from tests.standin.client import Schema
from tests.waiting import LIMIT, wait_until_async

from .conftest import QUICK


@pytest.fixture
def lived_in(fleet_q: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store with ten cancelled steps, a pending one and a dead letter, a day old."""
    asyncio.run(_live(tmp_path))
    _age(tmp_path / "fleet-q.db")
    capsys.readouterr()  # the pod's logs, if logging is configured


async def _live(tmp_path: Path) -> None:
    app = FleetQ(f"sqlite:///{tmp_path}/fleet-q.db", settings=QUICK)
    for step_id in [*(f"step {number}" for number in range(10)), "waiting"]:
        app.submit({}, step_id=step_id)
        app.cancel(step_id)
    app.submit({}, step_id="failed", max_retries=0)

    @app.executor
    def fail(step: dict[str, Any]) -> None:
        raise ValueError("no")

    async with app.running():
        await asyncio.to_thread(app.wait, "failed", LIMIT)
    app.replay(["waiting"])
    app.close()


def _age(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        for table in ("step_events", "pod_events"):
            connection.execute(f"UPDATE {table} SET event_ts = event_ts - 86400000000")
        connection.execute("UPDATE step_events SET available_ts = available_ts - 86400000000")
        heard = "last_heartbeat_ts = last_heartbeat_ts - 86400000000"
        connection.execute(f"UPDATE pod_health SET {heard}")
    app = FleetQ(f"sqlite:///{path}")
    app.store.rebuild()
    app.close()


@pytest.mark.usefixtures("lived_in")
def test_prune_archives_and_deletes_final_steps_and_can_be_repeated(
    fleet_q: Command, tmp_path: Path
) -> None:
    code, out, err = fleet_q("prune", "--older-than", "23h", "--dry-run", "--json")
    found = json.loads(out)
    assert (code, err, found.pop("dry_run")) == (0, "", True)
    events = found.pop("pod_events")
    assert found == {"steps": 10, "step_events": 20, "pods": 1}
    assert events >= 2, "it joined and left"

    code, out, err = fleet_q("prune", "--older-than", "23h", "--archive", "old.jsonl")
    says = f"pruned 10 steps with 20 events, 1 pod with {events} events\n"
    assert (code, out, err) == (0, says, "")
    kept = [json.loads(line) for line in (tmp_path / "old.jsonl").read_text().splitlines()]
    assert [line["step_id"] for line in kept[:20:2]] == [f"step {n}" for n in range(10)]
    assert len(kept) == 20 + events

    assert fleet_q("prune", "--older-than", "23h")[1].startswith("pruned 0 steps")
    assert fleet_q("status", "step 0")[0] == 1
    assert fleet_q("rebuild", "--check")[0] == 0
    counts = json.loads(fleet_q("queue", "--json")[1])
    assert (counts["pending"], counts["failed"], counts["cancelled"]) == (1, 1, 0)


@pytest.mark.usefixtures("lived_in")
def test_dead_letters_are_pruned_only_with_failed(fleet_q: Command) -> None:
    fleet_q("prune", "--older-than", "0s")
    assert json.loads(fleet_q("dlq", "list", "--json")[1])["steps"]
    assert fleet_q("prune", "--older-than", "0s", "--failed")[1].startswith("pruned 1 step with")
    assert not json.loads(fleet_q("dlq", "list", "--json")[1])["steps"]


@pytest.mark.usefixtures("lived_in")
@pytest.mark.parametrize("age", ["2d", "25h", "1500m", "100000s", "1.5d"])
def test_younger_steps_are_not_pruned(fleet_q: Command, age: str) -> None:
    code, out, _ = fleet_q("prune", "--older-than", age)
    assert (code, out) == (0, "pruned 0 steps with 0 events, 0 pods with 0 events\n")


@pytest.mark.parametrize("age", ["", "30", "d", "1w", "-1d", "1 d", "inf", "99999d"])
def test_invalid_age_is_rejected(fleet_q: Command, age: str) -> None:
    fleet_q("submit", "{}")
    code, out, err = fleet_q("prune", "--older-than", age)
    assert (code, out, err.count("\n")) == (1, "", 1)


@pytest.mark.usefixtures("lived_in")
def test_nothing_is_pruned_if_the_archive_cannot_be_written(
    fleet_q: Command, tmp_path: Path
) -> None:
    (tmp_path / "diary").write_text("Dear diary\n")
    for archive, says in (("diary", "is not an archive"), ("no/such/folder", "No such file")):
        code, out, err = fleet_q("prune", "--older-than", "0s", "--archive", archive)
        assert (code, out, says in err) == (1, "", True)
    assert json.loads(fleet_q("queue", "--json")[1])["cancelled"] == 10


@pytest.mark.usefixtures("lived_in")
def test_ctrl_c_ends_prune_between_batches_and_prints_what_was_pruned(
    fleet_q: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal arrives during a batch, which is still committed."""
    _in_batches_of(monkeypatch, 3)
    from fleet_q.core.event_store import EventStore

    prune = EventStore.prune

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return prune(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "prune", interrupted)
        code, out, err = fleet_q("prune", "--older-than", "1h")
    assert (code, err) == (128 + signal.SIGINT, "fleet-q: interrupted\n")
    assert out == "pruned 3 steps with 6 events, 0 pods with 0 events\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert fleet_q("rebuild", "--check")[0] == 0
    assert fleet_q("prune", "--older-than", "1h")[1].startswith("pruned 7 steps with 14 events")


def _in_batches_of(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    from fleet_q.adapters.sqlite import database as sqlite_database

    traits = msgspec.structs.replace(StoreTraits(), prune_batch=size)
    monkeypatch.setattr(sqlite_database, "StoreTraits", lambda **_: traits)


def test_prune_on_snowflake(
    fleet_q: Command, tmp_path: Path, schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in schema.environment.items():
        monkeypatch.setenv(name, value)
    fleet_q("schema", "--apply")
    fleet_q("submit", "{}", "--step-id", "step")
    fleet_q("cancel", "step")
    words = ("prune", "--older-than", "0s", "--archive", "old.jsonl")
    schema.set(denied=[["USAGE", Statements().procedures["prune_steps"].name.strip('"')]])
    code, out, err = fleet_q(*words)
    assert (code, out, "fleet-q schema" in err, err.count("\n")) == (1, "", True, 1)
    assert fleet_q("status", "step")[0] == 0
    schema.set(denied=[])
    assert fleet_q(*words)[:2] == (0, "pruned 1 step with 2 events, 0 pods with 0 events\n")
    lines = (tmp_path / "old.jsonl").read_text().splitlines()
    assert lines == lines[:2] * 2, "what was kept and not deleted is kept again"
    assert fleet_q("rebuild", "--check")[0] == 0


def test_the_app_checks_the_age(app: FleetQ) -> None:
    ages: tuple[Any, ...] = (-1, float("nan"), "30d", 1e12)
    for age in ages:
        with pytest.raises(InvalidInput, match="older_than"):
            app.prune(age)


def test_pruned_id_can_be_submitted_again(app: FleetQ, run: Run) -> None:
    calls = []
    app.task("call")(lambda n: calls.append(n))
    app.submit({"task_type": "call", "n": 1}, step_id="mine")
    run("mine")
    assert app.prune(0).steps == 1
    app.submit({"task_type": "call", "n": 2}, step_id="mine")
    run("mine")
    assert calls == [1, 2]


async def _runs_until(app: FleetQ, condition: Callable[[], bool]) -> Any:
    async with app.running() as pod:
        await wait_until_async(condition)
        return pod


def test_leader_prunes_while_it_runs_steps() -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, prune_after=0.2))
    app.task("call")(lambda: None)
    app.submit_many([{"task_type": "call"}] * 500)
    app.task("fail", max_retries=0)(lambda: 1 / 0)
    app.submit({"task_type": "fail"}, step_id="failed")

    asyncio.run(_runs_until(app, lambda: app.queue()["completed"] > 0))
    asyncio.run(_runs_until(app, lambda: not any(app.queue()[s] for s in ("pending", "completed"))))

    assert app.queue()["failed"] == 1
    assert app.store.rebuild(check=True).equal


@pytest.mark.parametrize(
    ("error", "level"),
    [(StoreError("not granted"), logging.ERROR), (StoreUnavailable("away"), logging.WARNING)],
)
def test_leader_continues_if_it_cannot_prune(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    level: int,
) -> None:
    app = FleetQ("memory://", settings=msgspec.structs.replace(QUICK, prune_after=0.01))
    app.task("call")(lambda: None)
    step_id = app.submit({"task_type": "call"})
    tried = []

    def refuse(*arguments: Any) -> Pruned:
        tried.append(arguments)
        raise error

    monkeypatch.setattr(app.store, "prune", refuse)
    pod = asyncio.run(_runs_until(app, lambda: len(tried) > 1))

    assert pod.error is None
    assert app.status(step_id).status == "completed"
    assert wait_for_handlers(LIMIT)
    says = [r for r in caplog.records if "pruning is postponed" in r.message]
    assert {record.levelno for record in says} == {level}
