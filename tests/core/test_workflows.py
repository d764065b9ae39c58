"""The state of a workflow: times of its steps, the tree, the critical path."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from fleet_q.core.dependencies import parents_json
from fleet_q.core.lifecycle import STEP_STATUSES
from fleet_q.core.workflows import (
    Moment,
    Omitted,
    TimedStep,
    TreeStep,
    WorkflowState,
    WorkflowStep,
    count,
    critical_path,
    parents_first,
    shortened,
    status_of,
    timed,
    tree,
)

NOW = 100


def step(step_id: str, *parents: str, status: str = "completed", **columns: Any) -> WorkflowStep:
    values = {
        "task_type": step_id,
        "retry_count": 0,
        "created_ts": 0,
        "last_update_ts": 0,
        "parents": parents_json(dict.fromkeys(parents, "success")) if parents else None,
        "spawned_by": None,
        "error": None,
        **columns,
    }
    return WorkflowStep(step_id=step_id, status=status, **values)  # type: ignore[arg-type]


def ran(
    step_id: str, *parents: str, at: int = 0, claimed: int | None = None, ended: int | None = None
) -> tuple[WorkflowStep, list[Moment]]:
    """A step that could be claimed ``at``, was ``claimed``, and ``ended``."""
    status = "completed" if ended is not None else "pending" if claimed is None else "claimed"
    last = ended if ended is not None else at if claimed is None else claimed
    moments = [Moment(step_id, "ready", at)] if parents else []
    if claimed is not None:
        moments.append(Moment(step_id, "claimed", claimed))
    return step(step_id, *parents, status=status, last_update_ts=last), moments


def all_of(*steps: tuple[WorkflowStep, list[Moment]]) -> list[TimedStep]:
    return timed((each for each, _ in steps), (m for _, moments in steps for m in moments))


def times(each: TimedStep) -> tuple[int | None, int | None]:
    return each.waited(NOW), each.ran(NOW)


def drawn(steps: Iterable[TreeStep | Omitted]) -> list[str]:
    return [
        "  " * each.depth
        + (
            "+" + ",".join(f"{n} {status}" for status, n in each.counts.items())
            if isinstance(each, Omitted)
            else each.timed.step_id
        )
        for each in steps
    ]


def test_steps_are_in_the_order_of_their_submission() -> None:
    steps = [step("b"), step("c"), step("a", created_ts=1)]
    assert [each.step_id for each in timed(steps, [])] == ["b", "c", "a"]


def test_step_waits_until_its_claim_and_runs_until_its_end() -> None:
    completed, claimed, pending = all_of(
        ran("a", claimed=10, ended=30), ran("b", "a", at=30, claimed=40), ran("c", "a", at=30)
    )
    assert times(completed) == (10, 20)
    assert times(claimed) == (10, 60)
    assert times(pending) == (70, None)


def test_waiting_and_fallen_steps_neither_wait_nor_run() -> None:
    [waiting] = timed([step("a", "x", status="waiting")], [])
    [fallen] = timed([step("b", "x", status="cancelled", last_update_ts=50)], [])
    assert times(waiting) == times(fallen) == (None, None)


def test_step_that_was_cancelled_before_its_claim_waited_until_then() -> None:
    [cancelled] = timed([step("a", status="cancelled", last_update_ts=50)], [])
    assert times(cancelled) == (50, None)


def test_step_runs_from_its_first_claim_since_its_replay() -> None:
    moments = [
        Moment("a", type_, at)
        for type_, at in [("claimed", 1), ("replayed", 20), ("claimed", 30), ("claimed", 40)]
    ]
    [replayed] = timed([step("a", last_update_ts=60)], moments)
    assert times(replayed) == (10, 30)
    [restored] = timed([step("a", status="waiting")], [*moments, Moment("a", "restored", 70)])
    assert times(restored) == (None, None)


def test_clock_that_was_set_back_gives_no_negative_times() -> None:
    [each] = all_of(ran("a", claimed=50, ended=20))
    assert each.ran(NOW) == 0
    [early] = timed([step("a", status="pending", created_ts=200)], [])
    assert early.waited(NOW) == 0


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ("completed completed", "completed"),
        ("completed waiting", "running"),
        ("failed pending", "running"),
        ("failed claimed", "running"),
        ("completed failed cancelled", "failed"),
        ("completed cancelled", "cancelled"),
    ],
)
def test_status_of_a_workflow_follows_from_those_of_its_steps(statuses: str, status: str) -> None:
    steps = timed([step(str(n), status=s) for n, s in enumerate(statuses.split())], [])
    assert status_of(count(steps)) == status


def test_counts_are_in_the_order_of_statuses() -> None:
    steps = timed([step(status, status=status) for status in reversed(STEP_STATUSES)], [])
    assert list(count(steps).items()) == [(status, 1) for status in STEP_STATUSES]


def test_step_stands_under_the_parent_that_ended_last() -> None:
    steps = all_of(
        ran("a", claimed=0, ended=10),
        ran("b", "a", at=10, claimed=10, ended=60),
        ran("c", "a", at=10, claimed=10, ended=20),
        ran("d", "b", "c", at=60, claimed=60, ended=70),
    )
    found = tree(steps)
    assert drawn(found) == ["a", "  b", "    d", "  c"]
    assert [each.others for each in found] == [(), (), ("c",), ()]


def test_step_that_fell_stands_under_the_parent_that_failed() -> None:
    steps = timed(
        [
            step("a", status="cancelled", last_update_ts=20),
            step("b", status="failed", last_update_ts=10),
            step("c", last_update_ts=90),
            step("d", "a", "b", "c", status="cancelled", last_update_ts=20),
        ],
        [],
    )
    assert drawn(tree(steps)) == ["a", "b", "  d", "c"]


def test_waiting_step_stands_under_its_first_parent() -> None:
    waits = step("c", "a", "b", status="waiting")
    steps = all_of(ran("a", claimed=0), ran("b", claimed=0, ended=10), (waits, []))
    assert drawn(tree(steps)) == ["a", "  c", "b"]
    assert tree(steps)[1].others == ("b",)


def test_spawned_step_stands_under_the_step_that_spawned_it() -> None:
    steps = timed([step("a"), step("b", spawned_by="a"), step("c", spawned_by="pruned")], [])
    assert drawn(tree(steps)) == ["a", "  b", "c"]


def test_step_whose_parents_are_not_in_the_workflow_stands_at_the_top() -> None:
    assert drawn(tree(timed([step("a", "elsewhere")], []))) == ["a"]


def test_critical_path_leads_back_through_the_parents_that_ended_last() -> None:
    steps = all_of(
        ran("a", claimed=0, ended=10),
        ran("b", "a", at=10, claimed=10, ended=60),
        ran("c", "a", at=10, claimed=10, ended=20),
        ran("d", "b", "c", at=60, claimed=60, ended=70),
        ran("e", "c", at=20, claimed=20, ended=65),
    )
    assert critical_path(steps, NOW) == ["a", "b", "d"]


def test_critical_path_ends_at_what_runs_or_waits_for_a_pod_longest() -> None:
    steps = all_of(
        ran("a", claimed=0, ended=10),
        ran("b", "a", at=10, claimed=40),
        ran("c", "a", at=10, claimed=20, ended=30),
        ran("d", "c", at=30),
    )
    assert critical_path(steps, NOW) == ["a", "b"]


def test_step_that_fell_is_not_on_the_critical_path() -> None:
    failed = step("a", status="failed", last_update_ts=50)
    fallen = step("b", "a", status="cancelled", last_update_ts=50)
    assert critical_path(timed([failed, fallen], [Moment("a", "claimed", 1)]), NOW) == ["a"]
    assert critical_path([], NOW) == []


def test_parents_are_before_their_children() -> None:
    steps = timed([step("a", "c", "b"), step("b", "c"), step("c", "elsewhere")], [])
    assert [each.step_id for each in parents_first(steps)] == ["c", "b", "a"]


def test_state_of_a_workflow_has_its_duration() -> None:
    whole = [step("a", created_ts=10, last_update_ts=30), step("b", "a", last_update_ts=70)]
    done = WorkflowState.of(NOW, whole, [])
    assert (done.status, done.created_ts, done.ended_ts, done.took) == ("completed", 0, 70, 70)
    running = WorkflowState.of(NOW, [step("a", created_ts=10, status="pending")], [])
    assert (running.ended_ts, running.took) == (None, 90)


def wide(children: int, **of: str) -> list[TimedStep]:
    """A step with many under it, numbered, and one that collects them."""
    names = [f"p{number:04}" for number in range(children)]
    steps = [step("a"), *(step(name, "a", status=of.get(name, "completed")) for name in names)]
    return timed([*steps, step("z", *names, status="waiting")], [])


def test_short_tree_is_shown_whole() -> None:
    found = tree(wide(3))
    assert list(shortened(found, [], 5)) == found


def test_shortened_tree_says_how_many_steps_are_left_out_and_where() -> None:
    found = tree(wide(10, p0007="pending"))
    assert drawn(shortened(found, [], 4)) == [
        "a", "  p0000", "    z", "  p0001", "  +1 pending,7 completed",
    ]  # fmt: skip


def test_shortened_tree_has_what_failed_and_runs_and_the_critical_path() -> None:
    found = tree(wide(1_000, p0100="failed", p0500="claimed"))
    assert drawn(shortened(found, ["a", "p0300"], 4)) == [
        "a", "  p0100", "  p0300", "  p0500", "  +1 waiting,997 completed",
    ]  # fmt: skip


def test_step_below_others_that_are_left_out_stands_under_the_nearest_that_is_not() -> None:
    names = [f"s{number:04}" for number in range(1_000)]
    steps = [step("s0000"), *(step(n, before) for before, n in pairwise(names))]
    steps[900] = step("s0900", "s0899", status="failed")
    found = tree(timed(steps, []))
    assert found[-1].depth == 999
    assert drawn(shortened(found, [], 3)) == [
        "s0000", "  s0001", "    s0900", "      +99 completed", "    +898 completed",
    ]  # fmt: skip


def test_every_step_is_shown_or_counted_once() -> None:
    found = tree(wide(500, p0003="failed"))
    for most in (1, 2, 50, 501, 502):
        lines = list(shortened(found, ["a"], most))
        shown = sum(isinstance(each, TreeStep) for each in lines)
        counted = sum(sum(each.counts.values()) for each in lines if isinstance(each, Omitted))
        assert (shown, counted) == (min(most, 502), 502 - min(most, 502))
