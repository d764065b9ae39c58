"""The graph of a workflow on its page: columns, rows and boxes that steps share."""

from __future__ import annotations

from collections.abc import Iterable

from fleet_q.core.lifecycle import StepStatus
from fleet_q.services.app.workflows import WorkflowStepView
from fleet_q.services.dashboard.graph import MOST_BOXES, Box, Graph, graph_of


def step(
    step_id: str, *after: str, task_type: str = "work", status: StepStatus = "completed"
) -> WorkflowStepView:
    return WorkflowStepView(step_id, status, task_type, 1, after, None, None, None, None)


def fan(wide: int, status: StepStatus = "completed") -> list[WorkflowStepView]:
    """A step, many that wait for it, and one that waits for all of them."""
    parts = [step(f"part {n}", "first", task_type="part", status=status) for n in range(wide)]
    return [step("first"), *parts, step("last", *(part.step_id for part in parts))]


def titles(boxes: Iterable[Box]) -> list[str]:
    return [box.title for box in boxes]


def columns(graph: Graph) -> dict[str, int]:
    places = sorted({box.x for box in graph.boxes})
    return {box.step_id or box.title: places.index(box.x) for box in graph.boxes}


def test_steps_stand_to_the_right_of_all_their_parents() -> None:
    steps = [step("a"), step("b", "a"), step("c", "a", "b"), step("d", "c"), step("e", "a", "d")]
    assert columns(graph_of(steps, [])) == {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4}


def test_boxes_do_not_overlap() -> None:
    graph = graph_of(fan(40), [])
    assert len({(box.x, box.y) for box in graph.boxes}) == len(graph.boxes) == 42
    assert not graph.is_collapsed


def test_children_stand_in_the_order_of_their_parents() -> None:
    steps = [
        step("a"), step("b"), step("c"), step("under c", "c"), step("under a", "a"),
        step("under b", "b"),
    ]  # fmt: skip
    rows = {box.step_id: box.y for box in graph_of(steps, []).boxes}
    assert [rows[f"under {name}"] for name in "abc"] == [rows[name] for name in "abc"]


def test_alike_steps_of_a_large_workflow_share_a_box() -> None:
    graph = graph_of(fan(MOST_BOXES, "pending"), [])
    assert titles(graph.boxes) == ["work", f"{MOST_BOXES} × part", "work"]
    assert graph.boxes[1].label == f"{MOST_BOXES} × part: {MOST_BOXES} pending"
    assert len(graph.lines) == 2


def test_box_of_many_steps_has_the_status_that_needs_most_attention() -> None:
    steps = fan(MOST_BOXES)
    steps[5] = step("part 4", "first", task_type="part", status="failed")
    box = graph_of(steps, []).boxes[1]
    assert box.status == "failed"
    assert box.counts == {"completed": MOST_BOXES - 1, "failed": 1}
    assert sum(width for _, _, width in box.shares) > 0


def test_large_workflow_without_alike_steps_has_a_box_for_each_depth() -> None:
    chains = [
        step(f"{place} of {chain}", *([f"{place - 1} of {chain}"] if place else []),
             task_type=f"type {chain}")
        for chain in range(MOST_BOXES)
        for place in range(3)
    ]  # fmt: skip
    assert titles(graph_of(chains, []).boxes) == 3 * [f"{MOST_BOXES} × several types"]


def test_lines_of_the_critical_path_are_marked() -> None:
    graph = graph_of(fan(2), ["first", "part 1", "last"])
    assert [line.is_critical for line in graph.lines] == [False, False, True, True]


def test_parents_that_are_not_shown_are_left_out() -> None:
    assert graph_of([step("a", "pruned")], []).lines == []
