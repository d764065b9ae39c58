"""Steps that wait for others on Snowflake: the leader settles what transactions have left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Complete, Fail, Submit
from tests.standin.client import Schema
from tests.waiting import wait_until

LEVELS = 20
"""The levels that a transaction settles."""

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tables: Schema) -> Iterator[SnowflakeStore]:
    store = SnowflakeStore(tables.parameters)
    yield store
    assert store.rebuild(check=True).equal
    store.close()


def chain(length: int) -> list[Submit]:
    """Steps ``000``, ``001`` and so on, each of which waits for the one before."""
    return [
        Submit(f"{n:03}", "{}", parents=f'{{"{n - 1:03}":"success"}}' if n else None)
        for n in range(length)
    ]


def end_first(store: SnowflakeStore, *, fails: bool) -> None:
    """Claim the first step and end it."""
    store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="t"))
    outcome = Fail("000", "t", "Boom", permanent=True) if fails else Complete("000", "t", "1")
    store.sync(SyncRequest("pod", "one", outcomes=(outcome,)))


def test_leader_cancels_the_levels_that_a_transaction_has_left(store: SnowflakeStore) -> None:
    store.submit(chain(LEVELS + 4))
    end_first(store, fails=True)
    assert (store.counts()["cancelled"], store.counts()["waiting"]) == (LEVELS, 3)
    assert [store.fold_heartbeats(), store.fold_heartbeats()] == [True, False]
    assert store.counts()["cancelled"] == LEVELS + 3
    last = store.step(f"{LEVELS + 3:03}")
    assert last is not None
    assert last.error == f"parent {LEVELS + 2:03} was cancelled"
    assert [event.fact.type for event in store.history(last.step_id)] == ["submitted", "cancelled"]


def test_leader_restores_the_levels_that_a_replay_has_left(store: SnowflakeStore) -> None:
    store.submit(chain(LEVELS + 4))
    end_first(store, fails=True)
    store.fold_heartbeats()
    store.replay(["000"])
    assert (store.counts()["waiting"], store.counts()["cancelled"]) == (LEVELS, 3)
    wait_until(lambda: not store.fold_heartbeats())
    assert (store.counts()["waiting"], store.counts()["pending"]) == (LEVELS + 3, 1)


def test_leader_restores_levels_above_which_all_steps_have_ended(store: SnowflakeStore) -> None:
    store.submit(chain(2 * LEVELS + 2))
    end_first(store, fails=True)
    wait_until(lambda: not store.fold_heartbeats())
    store.replay(["000"])
    for number in range(LEVELS + 1):
        store.sync(SyncRequest("pod", "one", claim=1, claim_token=f"t{number}"))
        done = Complete(f"{number:03}", f"t{number}", "1")
        store.sync(SyncRequest("pod", "one", outcomes=(done,)))
    assert (store.counts()["completed"], store.counts()["cancelled"]) == (LEVELS + 1, LEVELS + 1)
    wait_until(lambda: not store.fold_heartbeats())
    assert (store.counts()["pending"], store.counts()["waiting"]) == (1, LEVELS)


def test_leader_makes_a_step_ready_that_its_parents_end_did_not_see(
    store: SnowflakeStore, tables: Schema
) -> None:
    end_of_parent = SnowflakeStore(tables.parameters)
    end_of_parent.submit([Submit("000", "{}")])
    end_of_parent.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="t"))
    store.submit(chain(2)[1:])
    store.session.execute("UPDATE step_tracker SET status = 'pending' WHERE step_id = '001'")
    end_of_parent.sync(SyncRequest("pod", "one", outcomes=(Complete("000", "t", "1"),)))
    store.session.execute("UPDATE step_tracker SET status = 'waiting' WHERE step_id = '001'")
    assert [store.fold_heartbeats(), store.fold_heartbeats()] == [True, False]
    child = store.step("001")
    assert child is not None
    assert child.status == "pending"
    end_of_parent.close()


def test_leader_looks_for_unsettled_steps_only_if_steps_wait(
    store: SnowflakeStore, tables: Schema
) -> None:
    def looks_for_unsettled_steps() -> bool:
        tables.forget()
        store.fold_heartbeats()
        return any("is_lost" in statement.text for statement in tables.log())

    store.submit(chain(2))
    assert looks_for_unsettled_steps()
    end_first(store, fails=False)
    store.sync(SyncRequest("pod", "one", claim=1, claim_token="u"))
    store.sync(SyncRequest("pod", "one", outcomes=(Complete("001", "u", "1"),)))
    assert looks_for_unsettled_steps(), "those that waited may have left some"
    assert not looks_for_unsettled_steps()
