"""The two lifecycles, written out once more by hand and held against the declaration."""

from __future__ import annotations

from itertools import product
from typing import Any, Final, get_args

import pytest

from fleet_q.core.errors import IllegalTransition
from fleet_q.core.events import PodFact, StepFact
from fleet_q.core.lifecycle import (
    EFFECTS,
    FINAL,
    POD,
    POD_STATUSES,
    STEP,
    STEP_STATUSES,
    Lifecycle,
    NewValue,
)
from fleet_q.core.step import Step

STEP_TABLE: Final = [
    ("pending", "claimed", "claimed"),
    ("pending", "cancelled", "cancelled"),
    ("claimed", "completed", "completed"),
    ("claimed", "retried", "pending"),
    ("claimed", "released", "pending"),
    ("claimed", "recovered", "pending"),
    ("claimed", "failed", "failed"),
    ("claimed", "cancelled", "cancelled"),
    ("failed", "replayed", "pending"),
    ("cancelled", "replayed", "pending"),
]

POD_TABLE: Final = [
    ("up", "joined", "up"),
    ("up", "slept", "asleep"),
    ("up", "draining", "draining"),
    ("up", "left", "down"),
    ("up", "declared_dead", "down"),
    ("asleep", "joined", "up"),
    ("asleep", "woke", "up"),
    ("asleep", "draining", "draining"),
    ("asleep", "left", "down"),
    ("draining", "joined", "up"),
    ("draining", "left", "down"),
    ("draining", "declared_dead", "down"),
    ("down", "joined", "up"),
]

both = pytest.mark.parametrize(
    ("lifecycle", "statuses", "table"),
    [(STEP, STEP_STATUSES, STEP_TABLE), (POD, POD_STATUSES, POD_TABLE)],
    ids=["step", "pod"],
)
Table = list[tuple[str, str, str]]


def tags(union: Any) -> set[str]:
    return {str(fact.__struct_config__.tag) for fact in get_args(union)}


@both
def test_what_the_table_has_is_allowed(
    lifecycle: Lifecycle[Any], statuses: tuple[str, ...], table: Table
) -> None:
    for status, trigger, after in table:
        assert lifecycle.allows(status, trigger)
        assert lifecycle.after(status, trigger) == after


@both
def test_all_else_is_forbidden_by_an_error_that_says_what_was_tried_and_when(
    lifecycle: Lifecycle[Any], statuses: tuple[str, ...], table: Table
) -> None:
    allowed = {(status, trigger) for status, trigger, _ in table}
    triggers = {trigger for _, trigger, _ in table} | {"submitted"}
    for status, trigger in set(product(statuses, triggers)) - allowed:
        assert not lifecycle.allows(status, trigger)
        with pytest.raises(IllegalTransition) as caught:
            lifecycle.after(status, trigger)
        assert (caught.value.status, caught.value.trigger) == (status, trigger)
        said = str(caught.value)
        assert said == f"a {lifecycle.name} that is {status} cannot be {trigger}"


@both
def test_a_status_or_trigger_that_nobody_knows_is_forbidden(
    lifecycle: Lifecycle[Any], statuses: tuple[str, ...], table: Table
) -> None:
    with pytest.raises(IllegalTransition):
        lifecycle.after(statuses[0], "teleported")
    with pytest.raises(IllegalTransition):
        lifecycle.after("lost", table[0][1])


def test_a_life_begins_where_the_table_says() -> None:
    assert (STEP.initial, POD.initial) == ("pending", "up")


def test_a_final_status_is_left_only_by_a_replay() -> None:
    for status in FINAL:
        assert not {t for s, t, _ in STEP_TABLE if s == status} - {"replayed"}
    assert not {s for s, t, _ in STEP_TABLE if t == "replayed"} - set(FINAL)


def test_effects_name_only_columns_that_a_step_has_and_their_events_tell() -> None:
    facts = {str(fact.__struct_config__.tag): fact for fact in get_args(StepFact)}
    assert set(EFFECTS) == set(facts) - {"submitted"}
    told = {NewValue.FROM_EVENT, NewValue.FROM_EVENT_OR_UNCHANGED, NewValue.FROM_EVENT_OR_NOW}
    for event, effect in EFFECTS.items():
        assert set(effect.columns) <= set(Step.__struct_fields__)
        says = {column for column, becomes in effect.columns.items() if becomes in told}
        assert says <= set(facts[event].__struct_fields__), event


def test_every_trigger_has_its_fact_and_every_fact_its_trigger() -> None:
    assert STEP.triggers() == tags(StepFact) - {"submitted"}
    assert POD.triggers() == tags(PodFact)


@both
def test_the_diagram_has_every_arrow_and_no_other(
    lifecycle: Lifecycle[Any], statuses: tuple[str, ...], table: Table
) -> None:
    head, start, *arrows = lifecycle.mermaid().splitlines()
    assert (head, start) == ("stateDiagram-v2", f"    [*] --> {statuses[0]}")
    assert sorted(arrows) == sorted(f"    {a} --> {b}: {trigger}" for a, trigger, b in table)
