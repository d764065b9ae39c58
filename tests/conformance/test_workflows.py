"""The steps of a workflow, page by page, with what tells how long they waited and ran."""

from __future__ import annotations

import pytest

from fleet_q.core.ports import Store
from fleet_q.core.step import Complete, Fail, Submit
from fleet_q.core.workflows import MAX_ERROR_LENGTH, Moment, WorkflowStep, timed

from .clock import SECOND, FakeClock
from .helpers import acknowledge, claim, join, submit


def steps_of(store: Store, workflow_id: str, limit: int = 100) -> list[WorkflowStep]:
    """The steps of all pages, by id."""
    steps: list[WorkflowStep] = []
    cursor: str | None = None
    while True:
        page = store.workflow_steps(workflow_id, limit, cursor)
        assert len(page.steps) <= limit
        steps += page.steps
        cursor = page.cursor
        if cursor is None:
            return sorted(steps, key=lambda step: step.step_id)


def moments_of(store: Store, step_id: str) -> list[tuple[str, int]]:
    page = store.workflow_steps("flow", 100)
    return [(type_, at) for of, type_, at in page.moments if of == step_id]


def test_unknown_workflow_has_no_steps(store: Store, clock: FakeClock) -> None:
    submit(store, "other", workflow_id="other")
    page = store.workflow_steps("flow", 10)
    assert (page.at, page.steps, page.moments, page.cursor) == (clock(), (), (), None)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_of_a_workflow_have_each_step_once(store: Store, limit: int) -> None:
    submit(store, "c", "a", workflow_id="flow")
    submit(store, "x", workflow_id="other")
    submit(store, "y")
    submit(store, "b", workflow_id="flow")

    assert [step.step_id for step in steps_of(store, "flow", limit)] == ["a", "b", "c"]


def test_step_of_a_workflow_has_its_parents_and_its_error(store: Store, clock: FakeClock) -> None:
    join(store)
    parents = '{"first":"finished"}'
    store.submit(
        [
            Submit("first", "{}", max_retries=1, task_type="load", workflow_id="flow"),
            Submit("second", "{}", parents=parents, spawned_by="x", workflow_id="flow"),
        ]
    )
    began = clock()
    claim(store, token="one")
    clock.advance(1)
    acknowledge(store, Fail("first", "one", "Boom: " + "x" * 1_000))

    [first, second] = steps_of(store, "flow")
    assert (first.status, first.task_type, first.retry_count) == ("pending", "load", 1)
    assert (first.created_ts, first.last_update_ts) == (began, began + SECOND)
    assert first.error == ("Boom: " + "x" * 1_000)[:MAX_ERROR_LENGTH]
    assert (second.status, second.parents, second.spawned_by) == ("waiting", parents, "x")


def test_moments_tell_when_a_step_was_ready_and_claimed(store: Store, clock: FakeClock) -> None:
    join(store)
    store.submit(
        [
            Submit("first", "{}", workflow_id="flow"),
            Submit("second", "{}", parents='{"first":"success"}', workflow_id="flow"),
        ]
    )
    clock.advance(1)
    claimed_at = clock()
    assert claim(store, token="one") == ["first"]
    clock.advance(2)
    ready_at = clock()
    acknowledge(store, Complete("first", "one", "null"))

    assert moments_of(store, "first") == [("claimed", claimed_at)]
    assert moments_of(store, "second") == [("ready", ready_at)]


def test_replayed_step_waits_and_runs_anew(store: Store, clock: FakeClock) -> None:
    join(store)
    store.submit(
        [
            Submit("first", "{}", max_retries=0, workflow_id="flow"),
            Submit("second", "{}", parents='{"first":"success"}', workflow_id="flow"),
        ]
    )
    claimed_at = clock()
    claim(store, token="one")
    clock.advance(2)
    acknowledge(store, Fail("first", "one", "Boom"))
    clock.advance(3)
    store.replay(["first"])

    assert moments_of(store, "first") == [
        ("claimed", claimed_at),
        ("replayed", claimed_at + 5 * SECOND),
    ]
    assert moments_of(store, "second") == [("restored", claimed_at + 5 * SECOND)]
    page = store.workflow_steps("flow", 10)
    [first, second] = timed(page.steps, map(Moment._make, page.moments))
    assert (first.pending_ts, first.claimed_ts, first.ended_ts) == (page.at, None, None)
    assert (second.parents, second.pending_ts) == (("first",), None)
