"""The scaler on Snowflake: it needs a warehouse only after a change, or when a step is due."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.queues import QueueChange
from fleet_q.services.scaler.scaler import Demand, Scaler
from tests.fleet_on_snowflake.by_hand import USUAL, World
from tests.standin.log import Entry


@pytest.fixture
def scaler(world: World) -> Iterator[Scaler]:
    store = SnowflakeStore(world.schema.parameters)
    yield Scaler(store, USUAL, clock=lambda: world.now)
    store.close()


def asked(world: World, scaler: Scaler, times: int, every: float = 30) -> list[Entry]:
    """Ask for the demand so often; returns the statements that this takes."""
    world.schema.forget()
    for _ in range(times):
        world.pass_time(every)
        scaler.demand()
    return world.schema.log()


def polls_and_counts(world: World, log: list[Entry]) -> tuple[int, int]:
    """How many of the statements need a warehouse: polls of the change counter, and those that
    count steps."""
    change_counter = world.client.session.statements.text("change_counter")
    are_polls = [each.text == change_counter for each in log if each.warehouse]
    return are_polls.count(True), are_polls.count(False)


def test_scaler_needs_no_warehouse_while_nothing_changes(world: World, scaler: Scaler) -> None:
    world.submit(7)
    assert scaler.demand() == Demand(7, 7, 0, 0.0, None, 2)
    asked(world, scaler, 2)
    log = asked(world, scaler, 20)
    assert len(log) == 20
    assert not any(each.warehouse or each.writes for each in log)


def test_scaler_counts_twice_after_a_change_and_once_when_a_step_is_due(
    world: World, scaler: Scaler
) -> None:
    scaler.demand()
    asked(world, scaler, 2)
    world.submit(delay=300)
    log = asked(world, scaler, 5)
    polls, counts = polls_and_counts(world, log)
    assert polls <= 1
    assert counts == 2
    log = asked(world, scaler, 10)
    assert polls_and_counts(world, log) == (0, 1)
    demand = scaler.demand()
    assert (demand.claimable, demand.next_due_in, demand.wanted_pods) == (1, None, 1)


def test_scaler_follows_a_pod_that_claims_and_completes(world: World, scaler: Scaler) -> None:
    pod = world.pod("pod")
    pod.keeps = True
    world.submit(3)
    pod.do_what_is_due()
    demand = scaler.demand()
    assert (demand.pending, demand.claimed, demand.wanted_pods) == (0, 3, 1)


def test_scaler_counts_after_a_queue_was_paused_or_resumed(world: World, scaler: Scaler) -> None:
    with closing(SnowflakeStore(world.schema.parameters)) as store:
        world.submit(7)
        store.set_queue("default", QueueChange(paused=True))
        assert (scaler.demand().pending, scaler.demand().wanted_pods) == (7, 0)
        asked(world, scaler, 2)
        store.set_queue("default", QueueChange(paused=False))
        asked(world, scaler, 1)
        assert (scaler.demand().claimable, scaler.demand().wanted_pods) == (7, 2)
