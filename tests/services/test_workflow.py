"""Describing workflows in Python, and submitting them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fleet_q import FleetQ, InvalidInput, Workflow, current_step
from fleet_q.core.errors import StoreUnavailable, UnknownStep
from fleet_q.core.lifecycle import FINAL
from fleet_q.core.step import Submit
from fleet_q.services.app.tasks import Task
from tests.services.conftest import QUICK, Run


@pytest.fixture
def work(app: FleetQ) -> Task[..., Any]:
    """A task that returns its number plus the results of the steps that it waited for."""

    @app.task("work")
    def work(number: int = 0) -> int:
        results: list[int] = [parent.result for parent in current_step().parents.values()]
        return number + sum(results)

    return work


def parents(app: FleetQ, step_id: str) -> list[str]:
    return list(app.status(step_id).parents)


def test_chain_of_steps_runs_in_order(app: FleetQ, run: Run, work: Task[..., Any]) -> None:
    steps = [work.step(1), work.step(10), work.step(100)]
    flow = app.workflow("nightly")
    last = flow.chain(*steps)
    workflow_id = flow.submit()

    assert workflow_id.startswith("nightly-")
    assert last.step_ids == (steps[2].step_id,)
    (step,) = run(steps[2].step_id)
    assert step.result == 111
    assert {app.status(each.step_id).workflow_id for each in steps} == {workflow_id}


def test_collecting_step_waits_for_all_that_were_mapped(
    app: FleetQ, run: Run, work: Task[..., Any]
) -> None:
    flow = app.workflow("sum")
    first = flow.add(work.step(1))
    parts = flow.map(work.step, [10, 20, 30], after=first)
    total = parts.collect(work.step())
    flow.submit()

    assert [parents(app, step_id) for step_id in parts.step_ids] == [list(first.step_ids)] * 3
    assert parents(app, total.step_ids[0]) == list(parts.step_ids)
    assert run(*total.step_ids)[0].result == 63


def test_empty_map_hands_on_what_it_waits_for(app: FleetQ, work: Task[..., Any]) -> None:
    flow = app.workflow("empty")
    first = flow.add(work.step())
    last = flow.map(work.step, [], after=first).collect(work.step())
    alone = flow.map(work.step, []).collect(work.step())
    flow.submit()

    assert parents(app, last.step_ids[0]) == list(first.step_ids)
    assert parents(app, alone.step_ids[0]) == []


def test_step_waits_for_several_groups_and_for_what_its_option_names(
    app: FleetQ, work: Task[..., Any]
) -> None:
    outside = work.submit()
    flow = app.workflow("diamond")
    top = work.step()
    left, right = flow.add(top), flow.add(work.step(), work.step(), after=top)
    clean_up = work.options(after={outside: "success", top.step_id: "finished"}).step()
    flow.add(clean_up, after=[left, right, top])
    flow.submit()

    assert app.status(clean_up.step_id).parents == {
        top.step_id: "finished",
        right.step_ids[0]: "success",
        right.step_ids[1]: "success",
        outside: "success",
    }


def test_workflow_is_stored_whole_or_not_at_all(app: FleetQ, work: Task[..., Any]) -> None:
    flow = app.workflow("broken")
    flow.chain(work.step(), work.options(after="none").step())
    with pytest.raises(UnknownStep, match="'none'"):
        flow.submit()
    assert sum(app.queue().values()) == 0


def test_workflow_of_many_steps_is_submitted_in_one_transaction(
    app: FleetQ, work: Task[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = app.workflow("large")
    flow.map(work.step, range(2_500)).collect(work.step())
    sizes: list[int] = []
    submit = app.store.submit

    def counting(new: Sequence[Submit], by: str | None) -> object:
        sizes.append(len(new))
        return submit(new, by)

    monkeypatch.setattr(app.store, "submit", counting)
    flow.submit()
    assert sizes == [2_501]
    assert app.queue()["pending"] == 2_500


def test_submission_may_be_repeated_after_an_error(
    app: FleetQ, work: Task[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = app.workflow("again")
    flow.chain(work.step(), work.step())
    submit = app.store.submit

    def lost(new: Any, by: str | None) -> Any:
        submit(new, by)
        raise StoreUnavailable("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(app.store, "submit", lost)
        with pytest.raises(StoreUnavailable):
            flow.submit()
    assert flow.submit() == flow.workflow_id
    assert sum(app.queue().values()) == 2


def test_spawned_workflow_is_stored_with_the_completion_of_its_step(
    app: FleetQ, run: Run, work: Task[..., Any]
) -> None:
    @app.task("nightly", max_retries=1)
    def nightly() -> str:
        flow = app.workflow("nightly")
        parts = flow.map(work.step, [1, 2], after=flow.add(work.step()))
        parts.collect(work.step())
        workflow_id = flow.spawn()
        with pytest.raises(InvalidInput, match="was submitted; make another"):
            flow.spawn()
        if current_step().attempt == 1:
            raise ValueError("not yet")
        return workflow_id

    step_id = nightly.submit()
    after = work.options(after=step_id).submit()
    (first, last) = run(step_id, after)
    view = app.workflows.show(first.result)
    assert (view.status, view.counts) == ("completed", {"completed": 4})
    assert {app.status(step.step_id).spawned_by for step in view.steps} == {step_id}
    assert set(last.parents) == {step_id, *(step.step_id for step in view.steps)}
    assert sum(app.queue().values()) == 6


def test_workflow_that_cannot_be_spawned_leaves_no_step(
    app: FleetQ, run: Run, work: Task[..., Any]
) -> None:
    @app.task("spawn")
    def spawn() -> list[str]:
        current_step().spawn(work.options(step_id="taken").step())
        flow = app.workflow("nightly")
        flow.add(work.options(step_id="first").step(), work.options(step_id="taken").step())
        with pytest.raises(InvalidInput, match="taken"):
            flow.spawn()
        return [flow.workflow_id]

    (step,) = run(spawn.submit())
    assert step.status == "completed"
    run("taken")
    assert app.store.step("first") is None


def test_workflow_is_spawned_only_in_a_function(app: FleetQ, work: Task[..., Any]) -> None:
    flow = app.workflow("nightly")
    flow.add(work.step())
    with pytest.raises(RuntimeError, match="works only within a function"):
        flow.spawn()
    flow.submit()


def test_submitted_workflow_takes_no_more_steps(app: FleetQ, work: Task[..., Any]) -> None:
    flow = app.workflow("done")
    flow.add(work.step())
    flow.submit()
    for call in (flow.submit, lambda: flow.add(work.step())):
        with pytest.raises(InvalidInput, match=r"'done-.*' was submitted; make another"):
            call()


def test_invalid_steps_are_refused(app: FleetQ, work: Task[..., Any]) -> None:
    other = FleetQ("memory://", settings=QUICK)

    @other.task("work")
    def foreign() -> None: ...

    flow = app.workflow("checked")
    step = work.step()
    flow.add(step)
    wrong: Any = work
    invalid: list[tuple[Callable[[], object], str]] = [
        (lambda: flow.add(step), "is in workflow 'checked' already"),
        (lambda: flow.add(foreign.step()), "is of another app than its workflow"),
        (lambda: flow.add(wrong), r"takes what task.step\(...\) returns"),
        (lambda: flow.add(work.step(), after=wrong.submit()), "after takes what"),
        (lambda: app.workflow("empty").submit(), "workflow 'empty' has no steps"),
    ]
    for add, says in invalid:
        with pytest.raises(InvalidInput, match=says):
            add()


@pytest.mark.parametrize("name", ["", "n" * 168, 7, "a\0b", None])
def test_invalid_name_of_a_workflow_is_refused(app: FleetQ, name: Any) -> None:
    with pytest.raises(InvalidInput, match="the name of a workflow must be a text of 1 to"):
        app.workflow(name)
    assert isinstance(app.workflow("n" * 167), Workflow)


def test_steps_that_wait_for_each_other_are_refused(app: FleetQ, work: Task[..., Any]) -> None:
    flow = app.workflow("circle")
    flow.chain(work.options(step_id="a", after="b").step(), work.options(step_id="b").step())
    with pytest.raises(InvalidInput, match="would wait for itself"):
        flow.submit()


def test_steps_without_parents_are_final_with_the_workflow(
    app: FleetQ, run: Run, work: Task[..., Any]
) -> None:
    flow = app.workflow("side by side")
    steps = flow.add(work.step(1), work.step(2))
    flow.submit()
    assert all(step.status in FINAL for step in run(*steps.step_ids))
