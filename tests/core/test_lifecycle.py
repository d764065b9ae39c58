"""The two lifecycles, compared with tables that are written by hand."""

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
    ("pending", "replaced", "pending"),
    ("pending", "reprioritized", "pending"),
    ("pending", "rejected", "failed"),
    ("claimed", "completed", "completed"),
    ("claimed", "retried", "pending"),
    ("claimed", "released", "pending"),
    ("claimed", "recovered", "pending"),
    ("claimed", "failed", "failed"),
    ("claimed", "cancelled", "cancelled"),
    ("claimed", "snoozed", "pending"),
    ("claimed", "checkpointed", "claimed"),
    ("failed", "replayed", "pending"),
    ("failed", "restored", "waiting"),
    ("cancelled", "replayed", "pending"),
    ("cancelled", "restored", "waiting"),
    ("waiting", "ready", "pending"),
    ("waiting", "parents_added", "waiting"),
    ("waiting", "cancelled", "cancelled"),
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
def test_every_transition_of_the_table_is_allowed(
    lifecycle: Lifecycle[Any], statuses: tuple[str, ...], table: Table
) -> None:
    for status, trigger, after in table:
        assert lifecycle.allows(status, trigger)
        assert lifecycle.after(status, trigger) == after


@both
def test_every_other_transition_raises_illegal_transition_with_status_and_trigger(
    lifecycle: Lifecycle[Any], statuses: tuple[str, ...], table: Table
) -> None:
    allowed = {(status, trigger) for status, trigger, _ in table}
    triggers = {trigger for _, trigger, _ in table} | {"submitted"}
    for status, trigger in set(product(statuses, triggers)) - allowed:
        assert not lifecycle.allows(status, trigger)
        with pytest.raises(IllegalTransition) as caught:
            lifecycle.after(status, trigger)
        assert (caught.value.status, caught.value.trigger) == (status, trigger)
        assert str(caught.value) == f"a {lifecycle.name} that is {status} cannot be {trigger}"


@both
def test_unknown_status_or_trigger_raises_illegal_transition(
    lifecycle: Lifecycle[Any], statuses: tuple[str, ...], table: Table
) -> None:
    with pytest.raises(IllegalTransition):
        lifecycle.after(statuses[0], "teleported")
    with pytest.raises(IllegalTransition):
        lifecycle.after("lost", table[0][1])


def test_initial_statuses_are_pending_and_up() -> None:
    assert (STEP.initial, POD.initial) == ("pending", "up")


def test_only_a_replay_leads_out_of_a_final_status() -> None:
    for status in FINAL:
        assert not {t for s, t, _ in STEP_TABLE if s == status} - {"replayed", "restored"}
    assert not {s for s, t, _ in STEP_TABLE if t in ("replayed", "restored")} - set(FINAL)


def test_effects_use_only_columns_of_steps_and_fields_of_their_events() -> None:
    facts = {str(fact.__struct_config__.tag): fact for fact in get_args(StepFact)}
    assert set(EFFECTS) == set(facts) - {"submitted"}
    from_event = {NewValue.FROM_EVENT, NewValue.FROM_EVENT_OR_UNCHANGED, NewValue.FROM_EVENT_OR_NOW}
    for event, effect in EFFECTS.items():
        assert set(effect.columns) <= set(Step.__struct_fields__)
        used = {column for column, value in effect.columns.items() if value in from_event}
        assert used <= set(facts[event].__struct_fields__), event


def test_triggers_and_facts_have_the_same_names() -> None:
    assert STEP.triggers() == tags(StepFact) - {"submitted"}
    assert POD.triggers() == tags(PodFact)


@both
def test_mermaid_diagram_shows_exactly_the_transitions_of_the_table(
    lifecycle: Lifecycle[Any], statuses: tuple[str, ...], table: Table
) -> None:
    head, *lines = lifecycle.mermaid().splitlines()
    begins = [line for line in lines if "[*]" in line]
    arrows = lines[len(begins) :]
    assert (head, begins[0]) == ("stateDiagram-v2", f"    [*] --> {statuses[0]}")
    assert begins[1:] == (["    [*] --> waiting"] if lifecycle is STEP else [])
    assert sorted(arrows) == sorted(f"    {a} --> {b}: {trigger}" for a, trigger, b in table)
