"""Pruning on Snowflake: its locks, its event in the log, and lost answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import StoreError
from fleet_q.core.ports import FinalStep, Pruned
from fleet_q.core.pruning import PRUNED_BY_DEFAULT
from fleet_q.core.step import Submit
from tests.standin.client import Schema
from tests.waiting import LIMIT


@pytest.fixture
def schema(tables: Schema) -> Schema:
    return tables


@pytest.fixture
def store(schema: Schema) -> Iterator[SnowflakeStore]:
    store = SnowflakeStore(schema.parameters, patience=LIMIT)
    yield store
    schema.no_faults()
    schema.set(denied=[])
    assert store.rebuild(check=True).equal
    store.close()


@pytest.fixture
def final_steps(store: SnowflakeStore) -> list[FinalStep]:
    store.submit([Submit(f"step {number}", "{}", unique=True) for number in range(5)])
    for number in range(3):
        store.cancel(f"step {number}")
    return list(store.final_steps(PRUNED_BY_DEFAULT, store.pods().at, 100).steps)


def prune(store: SnowflakeStore, final_steps: list[FinalStep]) -> Pruned:
    return store.prune(final_steps, store.pods().at, "pod")


def test_prune_locks_the_tables_in_the_order_of_a_sync(
    schema: Schema, store: SnowflakeStore, final_steps: list[FinalStep]
) -> None:
    schema.forget()
    assert prune(store, final_steps) == Pruned(3, 6)
    locked = [entry.target for entry in schema.log() if entry.locked]
    assert [str(target).split('"')[-2] for target in locked] == ["STEP_TRACKER", "STEP_EVENTS"]


def test_change_counter_needs_no_warehouse_once_it_was_read_after_a_prune(
    schema: Schema, store: SnowflakeStore, final_steps: list[FinalStep]
) -> None:
    before = store.change_counter()
    prune(store, final_steps)
    assert store.change_counter() == before
    schema.forget()
    assert store.change_counter() == before
    (statement,) = schema.log()
    assert (statement.kind, statement.warehouse, statement.cached) == ("select", False, True)


def test_prune_is_logged_with_its_pod_and_its_number_of_events(
    store: SnowflakeStore, final_steps: list[FinalStep]
) -> None:
    prune(store, final_steps[:1])
    prune(store, final_steps[1:])
    events = store.session.execute(
        "SELECT version, type, pod_id FROM \"STEP_EVENTS\" WHERE step_id = '' ORDER BY version DESC"
    )
    assert events == [(0, "pruned", "pod"), (-3, "pruned", "pod")]
    assert {event.stream for event in store.step_events()} == {"step 3", "step 4"}


@pytest.mark.parametrize("took_place", [True, False])
def test_prune_without_an_answer_is_completed_and_counted_once(
    schema: Schema, store: SnowflakeStore, final_steps: list[FinalStep], took_place: bool
) -> None:
    kind = "drop" if took_place else "error"
    lost = {"then": "sign-in"} if took_place else {"error": "gone"}
    schema.fault(kind, on="call", **lost)
    before = store.change_counter()
    assert prune(store, final_steps) == Pruned(3, 6)
    assert store.session.errors.total() == 1
    assert store.change_counter() == before


def test_step_that_changed_since_it_was_found_is_kept_with_its_events(
    store: SnowflakeStore, final_steps: list[FinalStep]
) -> None:
    store.replay(["step 1"])
    assert prune(store, final_steps) == Pruned(2, 4)
    assert [event.fact.type for event in store.history("step 1")] == [
        "submitted",
        "cancelled",
        "replayed",
    ]


def test_role_that_may_not_call_the_procedure_prunes_nothing_and_error_says_what_to_do(
    schema: Schema, store: SnowflakeStore, final_steps: list[FinalStep]
) -> None:
    log = list(store.step_events())
    name = store.session.statements.procedures["prune_steps"].name
    schema.set(denied=[["USAGE", name.strip('"')]])
    with pytest.raises(StoreError, match="fleet-q schema --store snowflake:// --apply"):
        prune(store, final_steps)
    assert list(store.step_events()) == log
