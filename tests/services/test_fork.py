"""An app in a process that is forked."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet_q import FleetQ, Settings
from fleet_q.services.app import ids
from tests.forking import Child
from tests.services.conftest import ended

QUICK = Settings(claim_interval=0.05, heartbeat_interval=0.2, dead_pod_threshold=5)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FleetQ]:
    app = FleetQ(f"sqlite:///{tmp_path}/q.db", settings=QUICK)

    @app.task("answer")
    def answer() -> int:
        return 42

    yield app
    app.close()


def work_off(app: FleetQ, step_id: str) -> str:
    async def run() -> str:
        async with app.running() as pod:
            step = await asyncio.to_thread(app.wait, step_id)
            return f"{pod.pod_id} {step.result}"

    return asyncio.run(run())


def test_pod_does_not_live_on_in_a_child(app: FleetQ) -> None:
    async def run() -> str:
        async with app.running() as pod:
            told = await asyncio.to_thread(
                lambda: Child(
                    lambda: (app.pod, pod.is_healthy(), pod.ended.is_set(), bool(app.submit({})))
                ).ended()
            )
            assert app.pod is pod
            assert pod.is_healthy()
            return told

    assert asyncio.run(run()) == "(None, False, True, True)"


def test_child_of_a_running_pod_can_run_one_of_its_own(app: FleetQ) -> None:
    step_id = app.submit({"task_type": "answer"}, delay=3600)

    async def run() -> str:
        async with app.running():
            replayed = app.submit({"task_type": "answer"})
            await asyncio.to_thread(app.wait, replayed)
            return await asyncio.to_thread(Child(_own_pod).ended)

    def _own_pod() -> tuple[str, int]:
        app.cancel(step_id)
        return work_off(app, step_id), len(app.pods())

    told = asyncio.run(run())
    assert told.endswith(" None', 2)")


def test_child_makes_locks_of_its_own(app: FleetQ) -> None:
    app.submit({})
    with app._lock, app._connection._lock, ids._lock:
        told = Child(lambda: app.submit({"who": "child"})).ended()
    assert app.status(told.strip("'")).status == "pending"


def test_child_that_closes_leaves_its_parents_store_open(app: FleetQ) -> None:
    step_id = app.submit({})
    store = app.store
    assert Child(app.close).ended() == "None"
    assert app.store is store
    assert app.status(step_id).status == "pending"


def test_app_in_memory_is_copied(app: FleetQ) -> None:
    app = FleetQ("memory://", settings=QUICK)
    step_id = app.submit({"who": "parent"})
    told = Child(lambda: (app.submit({"who": "child"}), app.cancel(step_id).status)).ended()
    assert "cancelled" in told
    assert app.queue()["pending"] == 1


@pytest.mark.parametrize("kind", ["thread", "loop"])
@pytest.mark.parametrize(("leave", "code"), [("return", 0), ("exit", 3), ("raise", 1)])
def test_process_that_a_function_forked_ends_when_it_comes_back(
    app: FleetQ, tmp_path: Path, kind: str, leave: str, code: int
) -> None:
    def fork() -> int:
        forked = os.fork()
        if forked:
            return os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
        if leave == "exit":
            sys.exit(3)
        assert leave == "return"
        return 0

    async def fork_on_the_loop() -> int:
        return fork()

    def note() -> None:
        with Path(tmp_path, "ran").open("a") as file:
            file.write("x")

    app.task("fork")(fork if kind == "thread" else fork_on_the_loop)
    app.task("note")(note)
    step_ids = [app.submit({"task_type": "fork"}, priority=1), app.submit({"task_type": "note"})]
    steps = asyncio.run(ended(app, step_ids))
    assert steps[0].result == code
    assert Path(tmp_path, "ran").read_text() == "x"
