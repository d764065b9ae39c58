"""What becomes of steps that wait for others."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleet_q.core.dependencies import (
    Dependency,
    Dependent,
    Kind,
    check_no_circle,
    is_lost,
    is_satisfied,
    parents_json,
    parents_of,
    replays,
    required,
    restored,
    settle,
)
from fleet_q.core.errors import InvalidInput
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.step import Replay, Restore, Step, Submit
from tests.core.helpers import LIVES, live


def child(step_id: str, *parents: str, status: str = "cancelled") -> Step:
    """A step that was submitted after these parents, in this status."""
    step = replace(live(*LIVES[status]), step_id=step_id)
    after: dict[str, Kind] = dict.fromkeys(parents, "success")
    return replace(step, parents=parents_json(after) if parents else None)


@pytest.mark.parametrize(
    ("status", "success", "finished"),
    [
        ("pending", None, None),
        ("waiting", None, None),
        ("claimed", None, None),
        ("completed", True, True),
        ("failed", False, True),
        ("cancelled", False, True),
        (None, True, True),
    ],
)
def test_parent_has_ended_as_its_child_requires_or_otherwise_or_not_yet(
    status: StepStatus | None, success: bool | None, finished: bool | None
) -> None:
    kinds: dict[Kind, bool | None] = {"success": success, "finished": finished}
    for kind, expected in kinds.items():
        assert is_satisfied(kind, status) == (expected is True)
        assert is_lost(kind, status) == (expected is False)


def test_parents_are_kept_in_their_order() -> None:
    parents: dict[str, Kind] = {"z": "success", "a": "finished"}
    assert list(parents_of(parents_json(parents)).items()) == list(parents.items())
    assert parents_of(None) == {}


def test_completed_parent_frees_its_children() -> None:
    settlement = settle(
        {"a": "completed"},
        [Dependent("a", "b", "success", "waiting"), Dependent("a", "c", "finished", "waiting")],
    )
    assert settlement.satisfied == (
        Dependency("a", "b", "success"),
        Dependency("a", "c", "finished"),
    )
    assert (settlement.freed, settlement.fallen) == (("b", "c"), {})


def test_lost_parent_fells_its_children_and_frees_those_that_need_only_its_end() -> None:
    settlement = settle(
        {"a": "failed"},
        [
            Dependent("a", "b", "success", "waiting"),
            Dependent("b", "c", "success", "waiting"),
            Dependent("b", "d", "finished", "waiting"),
        ],
    )
    assert settlement.fallen == {"b": "parent a failed", "c": "parent b was cancelled"}
    assert (settlement.freed, settlement.satisfied) == (("d",), (Dependency("b", "d", "finished"),))


def test_step_that_falls_is_not_freed_by_another_parent() -> None:
    settlement = settle(
        {"a": "completed", "b": "cancelled"},
        [Dependent("a", "c", "success", "waiting"), Dependent("b", "c", "success", "waiting")],
    )
    assert (settlement.freed, settlement.fallen) == ((), {"c": "parent b was cancelled"})


def test_step_that_fell_before_is_left_alone() -> None:
    settlement = settle({"a": "failed"}, [Dependent("a", "b", "success", "cancelled")])
    assert (settlement.satisfied, settlement.freed, settlement.fallen) == ((), (), {})


def test_steps_are_restored_unless_a_parent_is_lost_that_is_not() -> None:
    parents: dict[str, dict[str, Kind]] = {
        "b": {"a": "success"},
        "c": {"b": "success", "a": "success"},
        "d": {"c": "success", "x": "success"},
        "e": {"d": "success"},
    }
    assert restored(parents, {"a": "pending", "x": "failed"}) == ["b", "c"]
    assert restored(parents, {"a": "pending", "x": "completed"}) == ["b", "c", "d", "e"]


def test_step_that_needs_only_the_end_of_one_that_stays_fallen_is_restored() -> None:
    parents: dict[str, dict[str, Kind]] = {
        "c": {"p": "success", "q": "finished"},
        "q": {"p": "success", "x": "success"},
    }
    assert restored(parents, {"p": "pending", "x": "failed"}) == ["c"]


def test_replay_waits_for_parents_that_are_replayed_too() -> None:
    steps = {"b": child("b", "a"), "a": child("a")}
    result = replays(steps, {"a": "cancelled"})
    assert result.commands == [Restore("b"), Replay("a")]
    assert result.dependencies == [Dependency("a", "b", "success")]


def test_replay_is_refused_with_that_of_a_parent() -> None:
    steps = {"c": child("c", "b"), "b": child("b", "a")}
    result = replays(steps, {"b": "cancelled", "a": "failed"})
    assert (result.commands, result.refused) == ([], {"b": "a", "c": "b"})


def test_waiting_step_requires_what_has_not_ended() -> None:
    parents: dict[str, Kind] = {"a": "success", "b": "finished", "c": "success"}
    dependencies = required("d", parents, {"a": "completed", "b": "claimed"})
    assert dependencies == [Dependency("b", "d", "finished")]


def test_long_chain_in_any_order_is_no_circle() -> None:
    chain = [Submit("s0", "{}")]
    chain += [Submit(f"s{n}", "{}", parents=f'{{"s{n - 1}":"success"}}') for n in range(1, 5_000)]
    check_no_circle(chain[::-1])
    with pytest.raises(InvalidInput, match="step 's0' would wait for itself"):
        check_no_circle([replace(chain[0], parents='{"s4999":"success"}'), *chain[1:]])
