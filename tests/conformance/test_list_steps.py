"""Lists of steps: filters, pages, and what is shown of a step."""

from __future__ import annotations

import pytest

from fleet_q.core.ports import Store
from fleet_q.core.search import MAX_ERROR_LENGTH, StepFilter, StepList
from fleet_q.core.step import Fail, Submit
from fleet_q.core.submission import labels_json

from .clock import SECOND, FakeClock
from .helpers import acknowledge, claim, completed_step, failed_step, held_step, join, submit

ANY = StepFilter()


def listed(store: Store, step_filter: StepFilter = ANY, limit: int = 100) -> list[str]:
    """The ids of all pages."""
    step_ids: list[str] = []
    cursor: str | None = None
    while True:
        page = store.list_steps(step_filter, limit, cursor)
        step_ids += ids(page)
        cursor = page.cursor
        if cursor is None:
            return step_ids


def ids(page: StepList) -> list[str]:
    return [step.step_id for step in page.steps]


def submit_in_turn(store: Store, clock: FakeClock, *step_ids: str) -> None:
    """Submit steps, a second apart."""
    for step_id in step_ids:
        submit(store, step_id)
        clock.advance(1)


def test_empty_store_lists_no_steps(store: Store, clock: FakeClock) -> None:
    page = store.list_steps(ANY, 10)
    assert (page.at, page.steps, page.cursor) == (clock(), (), None)


def test_latest_submission_is_listed_first(store: Store, clock: FakeClock) -> None:
    submit_in_turn(store, clock, "b", "c", "a")

    assert listed(store) == ["a", "c", "b"]


def test_pages_neither_skip_nor_repeat_steps_while_others_are_added(
    store: Store, clock: FakeClock
) -> None:
    submit_in_turn(store, clock, *"abcdef")
    page = store.list_steps(ANY, 2)
    assert ids(page) == ["f", "e"]
    for number in range(3):
        submit_in_turn(store, clock, f"new {number}")
        page = store.list_steps(ANY, 2, page.cursor)
        assert ids(page) == [["d", "c"], ["b", "a"], []][number]
    assert page.cursor is None


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_of_any_size_list_every_step_once(store: Store, clock: FakeClock, limit: int) -> None:
    submit_in_turn(store, clock, *"abcdefg")
    submit(store, "same time 1", "same time 2", "same time 3")
    assert sorted(listed(store, ANY, limit)) == sorted(listed(store))
    assert len(listed(store)) == 10


def test_every_condition_selects(store: Store, clock: FakeClock) -> None:
    join(store)
    store.submit(
        [
            Submit("gpu", "{}", queue="gpu", task_type="train", key="c1"),
            Submit("late", "{}", queue="gpu", task_type="resize", key="c2"),
            Submit("plain", "{}", priority=9),
        ]
    )
    assert claim(store, token="token") == ["plain"]
    clock.advance(10)
    submit(store, "newest")

    assert set(listed(store, StepFilter(queues=("gpu",)))) == {"gpu", "late"}
    assert listed(store, StepFilter(task_types=("train", "other"))) == ["gpu"]
    assert listed(store, StepFilter(keys=("c2",))) == ["late"]
    assert listed(store, StepFilter(pod_id="pod")) == ["plain"]
    assert listed(store, StepFilter(id_prefix="pla")) == ["plain"]
    assert listed(store, StepFilter(submitted_from=clock())) == ["newest"]
    assert "newest" not in listed(store, StepFilter(submitted_before=clock()))
    assert listed(store, StepFilter(queues=("gpu",), keys=("c1",), statuses=("pending",))) == [
        "gpu"
    ]
    assert listed(store, StepFilter(queues=("gpu",), statuses=("claimed",))) == []


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_steps_of_a_workflow_are_listed(store: Store, clock: FakeClock, limit: int) -> None:
    for number in range(3):
        submit(store, f"a{number}", workflow_id="nightly-1", queue="gpu" if number else "default")
        submit(store, f"b{number}", workflow_id="nightly-2")
        submit(store, f"c{number}")
        clock.advance(1)

    workflow = StepFilter(workflow_id="nightly-1")
    assert listed(store, workflow, limit) == ["a2", "a1", "a0"]
    assert [step.workflow_id for step in store.list_steps(workflow, 3).steps] == ["nightly-1"] * 3
    in_queue = StepFilter(workflow_id="nightly-1", queues=("gpu",), statuses=("pending",))
    assert listed(store, in_queue, limit) == ["a2", "a1"]
    assert listed(store, StepFilter(workflow_id="nightly"), limit) == []
    in_any = StepFilter(in_workflow=True)
    assert listed(store, in_any, limit) == ["b2", "a2", "b1", "a1", "b0", "a0"]
    assert len(store.steps_at(clock(), in_any, 100).steps) == 6


def test_steps_of_each_status_are_listed(store: Store) -> None:
    completed_step(store, "completed")
    failed_step(store, "failed")
    held_step(store, "claimed")
    submit(store, "pending", "cancelled")
    submit(store, "delayed", delay=SECOND)
    store.cancel("cancelled")

    for status in ("completed", "failed", "claimed", "cancelled"):
        assert listed(store, StepFilter(statuses=(status,))) == [status]
    assert set(listed(store, StepFilter(statuses=("pending",)))) == {"pending", "delayed"}
    active = StepFilter(statuses=("pending", "claimed"))
    assert set(listed(store, active, limit=1)) == {"pending", "delayed", "claimed"}


def test_step_has_all_labels_of_the_filter(store: Store) -> None:
    labels = {
        "both": {"day": "1", "team": "etl"},
        "day": {"day": "1"},
        "quoted": {'a,"day': "1", "x": '{"day":"2"'},
        "odd": {"100%_^": "\\'é"},
    }
    store.submit([Submit(name, "{}", labels=labels_json(of)) for name, of in labels.items()])
    submit(store, "none")

    assert set(listed(store, StepFilter(labels=(("day", "1"),)))) == {"both", "day"}
    assert listed(store, StepFilter(labels=(("team", "etl"), ("day", "1")))) == ["both"]
    assert listed(store, StepFilter(labels=(("day", "2"),))) == []
    assert listed(store, StepFilter(labels=(("100%_^", "\\'é"),))) == ["odd"]
    assert listed(store, StepFilter(labels=(("100ab^", "\\'é"),))) == []


@pytest.mark.parametrize("prefix", ["a%", "a_", "a'", "é"])
def test_prefix_of_an_id_is_taken_literally(store: Store, prefix: str) -> None:
    submit(store, "abc", "aBc", f"{prefix}1", f"{prefix}2")

    assert set(listed(store, StepFilter(id_prefix=prefix))) == {f"{prefix}1", f"{prefix}2"}


def test_list_shows_what_happened_to_a_step(store: Store, clock: FakeClock) -> None:
    store.submit([Submit("step", "{}", 3, 5, queue="gpu", task_type="train", labels='{"day":"1"}')])
    join(store)
    claim(store, token="one")
    acknowledge(store, Fail("step", "one", "Boom: " + "x" * 1_000))
    clock.advance(2)
    claim(store, token="two")
    claimed_at = clock()
    clock.advance(30)

    page = store.list_steps(ANY, 10)
    [step] = page.steps
    assert (step.status, step.priority, step.queue, step.task_type) == (
        "claimed", 3, "gpu", "train",
    )  # fmt: skip
    assert (step.retry_count, step.max_retries, step.claimed_by) == (1, 5, "pod")
    assert (step.claimed_ts, page.at) == (claimed_at, claimed_at + 30 * SECOND)
    assert step.error == ("Boom: " + "x" * 1_000)[:MAX_ERROR_LENGTH]
    assert step.labels == '{"day":"1"}'
