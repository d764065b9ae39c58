"""An app in a forked process."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet_q import FleetQ, Settings, current_step
from fleet_q.adapters import ids
from fleet_q.services.app import context
from tests.forking import Child
from tests.services.conftest import Run, ended

QUICK = Settings(claim_interval=0.05, heartbeat_interval=0.2, dead_pod_threshold=5)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FleetQ]:
    app = FleetQ(f"sqlite:///{tmp_path}/q.db", settings=QUICK)

    @app.task("answer")
    def answer() -> int:
        return 42

    yield app
    app.close()


def complete(app: FleetQ, step_id: str) -> str:
    async def run() -> str:
        async with app.running() as pod:
            step = await asyncio.to_thread(app.wait, step_id)
            return f"{pod.pod_id} {step.result}"

    return asyncio.run(run())


def test_forked_process_has_no_pod(app: FleetQ) -> None:
    async def run() -> str:
        async with app.running() as pod:
            result = await asyncio.to_thread(
                lambda: Child(
                    lambda: (app.pod, pod.is_healthy(), pod.ended.is_set(), bool(app.submit({})))
                ).ended()
            )
            assert app.pod is pod
            assert pod.is_healthy()
            return result

    assert asyncio.run(run()) == "(None, False, True, True)"


def test_forked_process_can_run_its_own_pod(app: FleetQ) -> None:
    step_id = app.submit({"task_type": "answer"}, delay=3600)

    async def run() -> str:
        async with app.running():
            replayed = app.submit({"task_type": "answer"})
            await asyncio.to_thread(app.wait, replayed)
            return await asyncio.to_thread(Child(_own_pod).ended)

    def _own_pod() -> tuple[str, int]:
        app.cancel(step_id)
        return complete(app, step_id), len(app.pods())

    result = asyncio.run(run())
    assert result.endswith(" None', 2)")


def test_forked_process_has_new_locks(app: FleetQ) -> None:
    app.submit({})
    with app._lock, app._connection._lock, ids._lock:
        result = Child(lambda: app.submit({"who": "child"})).ended()
    assert app.status(result.strip("'")).status == "pending"


def test_forked_process_saves_whatever_threads_of_its_parent_were_doing(
    app: FleetQ, run: Run
) -> None:
    @app.task("save")
    def save() -> str:
        step = current_step()
        step.save(1)

        def in_child() -> object:
            step.save(2)
            return step.saved

        with step._checkpoints()._lock, context._lock:
            return Child(in_child).ended()

    (step,) = run(save.submit())
    assert step.result == "2"


def test_closing_the_app_in_a_forked_process_leaves_the_parents_store_open(app: FleetQ) -> None:
    step_id = app.submit({})
    store = app.store
    assert Child(app.close).ended() == "None"
    assert app.store is store
    assert app.status(step_id).status == "pending"


def test_forked_process_has_a_copy_of_a_memory_store(app: FleetQ) -> None:
    app = FleetQ("memory://", settings=QUICK)
    step_id = app.submit({"who": "parent"})
    result = Child(lambda: (app.submit({"who": "child"}), app.cancel(step_id).status)).ended()
    assert "cancelled" in result
    assert app.queue()["pending"] == 1


@pytest.mark.parametrize("kind", ["thread", "loop"])
@pytest.mark.parametrize(("leave", "code"), [("return", 0), ("exit", 3), ("raise", 1)])
def test_forked_process_exits_when_it_returns_from_the_function(
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

    def count() -> None:
        with Path(tmp_path, "ran").open("a") as file:
            file.write("x")

    app.task("fork")(fork if kind == "thread" else fork_on_the_loop)
    app.task("count")(count)
    step_ids = [app.submit({"task_type": "fork"}, priority=1), app.submit({"task_type": "count"})]
    steps = asyncio.run(ended(app, step_ids))
    assert steps[0].result == code
    assert Path(tmp_path, "ran").read_text() == "x"
