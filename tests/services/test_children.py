"""Functions that spawn steps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fleet_q import ClaimedStep, FleetQ, InvalidInput, Snooze, current_step
from fleet_q.core.events import Submitted
from fleet_q.services.app import children
from tests.services import module_with_processes as module
from tests.waiting import LIMIT

from .conftest import QUICK, Run, ended


def spawned_by(app: FleetQ, step_id: str) -> list[str]:
    """The ids of the steps that a step has spawned."""
    events = list(app.store.step_events())
    submitted = [(e.stream, e.fact) for e in events if isinstance(e.fact, Submitted)]
    return [child_id for child_id, fact in submitted if fact.spawned_by == step_id]


def test_dynamic_fan_out_ends_in_one_step_that_reads_all_results(app: FleetQ, run: Run) -> None:
    @app.task("list")
    def list_parts(count: int) -> None:
        for part in range(count):
            current_step().spawn(load.step(part=part))

    @app.task("load")
    async def load(part: int) -> int:
        if part == 0:
            await asyncio.sleep(0)
            current_step().spawn(load.options(step_id="late").step(part=9))
        return part * 10

    @app.task("report")
    def report() -> list[Any]:
        return [parent.result for parent in current_step().parents.values()]

    last = report.options(after=list_parts.options(step_id="first").submit(3)).submit()
    (step,) = run(last)
    assert step.result == [None, 0, 10, 20, 90]
    assert len(spawned_by(app, "first")) == 3


def test_single_pod_runs_children_without_waiting_for_its_claim_interval(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'children.db'}"
    app = FleetQ(url, settings=replace(QUICK, claim_interval=3600))

    @app.task("t")
    def t(n: int) -> None:
        if n:
            current_step().spawn(t.step(n - 1))

    first = t.submit(3)
    steps = asyncio.run(ended(app, [first, t.options(after=first).submit(0)]))
    assert [step.status for step in steps] == ["completed"] * 2


def test_child_belongs_to_the_workflow_of_its_spawner(app: FleetQ, run: Run) -> None:
    @app.task("t")
    def t(n: int) -> None:
        if n:
            current_step().spawn(t.options(step_id=f"child {n}").step(n - 1))

    workflow = app.workflow("nightly")
    workflow.add(t.options(step_id="first").step(2))
    workflow.submit()
    run(t.options(after="first").submit(0))
    steps = [app.store.step(step_id) for step_id in ("first", "child 2", "child 1")]
    assert len({step and step.workflow_id for step in steps}) == 1
    assert steps[0] is not None
    assert str(steps[0].workflow_id).startswith("nightly-")


def test_only_the_attempt_that_succeeds_leaves_children(app: FleetQ, run: Run) -> None:
    attempts: list[str] = []

    @app.task("t", base_delay=0)
    def t() -> None:
        attempts.append(current_step().spawn(child.step()))
        if len(attempts) == 1:
            raise ValueError("no")
        if len(attempts) == 2:
            raise Snooze(0)

    child = app.task("child")(lambda: None)
    step_id = t.submit()
    run(step_id)
    assert spawned_by(app, step_id) == [attempts[2]]


def test_children_that_cannot_be_stored_fail_their_step_alone(app: FleetQ, run: Run) -> None:
    @app.task("t")
    def t(after: str) -> None:
        current_step().spawn(t.options(after=after).step(after="nobody"))

    good, bad = t.submit(after=app.submit({"task_type": "none"})), t.submit(after="nobody")
    steps = run(good, bad)
    assert [step.status for step in steps] == ["completed", "failed"]
    error = "its children cannot be stored: no step has the id 'nobody'"
    assert (steps[1].error, steps[1].retry_count) == (error, 0)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("type", r"takes a step such as task.step\(...\), not str"),
        ("app", "is one of another app"),
        ("twice", "the id 'a', which is taken"),
        ("itself", "the id 'me', which is taken"),
        ("circle", "would wait for itself"),
        ("key", "has the unique key 'k'"),
        ("size", "more than 100 bytes"),
        ("count", "an attempt may spawn 2 steps"),
    ],
)
def test_mistake_is_refused_where_it_is_made(
    app: FleetQ, run: Run, monkeypatch: pytest.MonkeyPatch, mistake: str, message: str
) -> None:
    monkeypatch.setattr(children, "MAX_CHILDREN_BYTES", 100)
    monkeypatch.setattr(children, "MAX_CHILDREN", 2)
    other = FleetQ("memory://").task("t")(lambda: None)

    @app.task("t")
    def t(text: str = "") -> None: ...

    def spawned() -> list[Any]:
        one = t.options(step_id="a").step()
        key = t.options(unique_key="k", on_conflict="error")
        mistakes: dict[str, list[Any]] = {
            "type": ["a"],
            "app": [other.step()],
            "twice": [one, one],
            "itself": [t.options(step_id="me").step()],
            "circle": [
                t.options(step_id="a", after="b").step(),
                t.options(step_id="b", after="a").step(),
            ],
            "key": [key.step(), key.step()],
            "size": [t.step("x" * 100)],
            "count": [t.step(), t.step(), t.step()],
        }
        return mistakes[mistake]

    @app.task("spawns", max_retries=0)
    def spawns() -> None:
        for step in spawned():
            current_step().spawn(step)

    (step,) = run(spawns.options(step_id="me").submit())
    assert step.status == "failed"
    with pytest.raises(InvalidInput, match=message):
        raise InvalidInput(step.error)


@pytest.mark.slow
def test_function_in_a_process_spawns_through_its_pod() -> None:
    """The store is in memory, so the child process cannot reach it."""
    app = module.app
    app.use(settings=replace(QUICK, max_processes=1))

    async def main() -> list[str]:
        async with app.running():
            first = app.submit({"task_type": "spawn", "count": 3})
            last = app.submit({"task_type": "pid"}, after=first)
            for step_id in (last, "spawned 2"):
                assert (await asyncio.to_thread(app.wait, step_id, LIMIT)).status == "completed"
            assert spawned_by(app, first) == ["spawned 0", "spawned 1", "spawned 2"]
            return list(app.parents(last))[1:]

    assert asyncio.run(main()) == ["spawned 0", "spawned 1"]


def test_consumer_completes_a_step_with_children(app: FleetQ) -> None:
    t = app.task("t")(lambda: None)
    step_id = t.submit()
    with app.consumer() as consumer:
        claimed: ClaimedStep = consumer.claim_steps()[0]
        consumer.complete_step(claimed, children=[t.options(step_id="child").step()])
        assert spawned_by(app, step_id) == ["child"]
        consumer.complete_step(consumer.claim_steps()[0])
