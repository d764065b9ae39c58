"""Heartbeats are inserted, so they wait for no lock, and are moved to the pods' rows later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import IncarnationEnded, StoreUnavailable
from fleet_q.core.pod import Join, Pod, SendHeartbeat, Sleep
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Submit
from tests.standin.client import Schema
from tests.waiting import LIMIT

NOW = 1_700_000_000_000_000
SECOND = 1_000_000
HEARTBEAT = SyncRequest("pod", "one", SendHeartbeat("pod", "one"))


@pytest.fixture
def schema(tables: Schema) -> Schema:
    return tables


@pytest.fixture
def store(schema: Schema) -> Iterator[SnowflakeStore]:
    """A store with one pod, which joined at ``NOW``."""
    schema.set(clock=NOW)
    store = SnowflakeStore(schema.parameters, patience=LIMIT)
    store.sync(SyncRequest("pod", "one", Join("pod", "one")))
    schema.set(clock=NOW + SECOND)
    yield store
    assert store.rebuild(check=True).equal
    store.close()


def only_pod(store: SnowflakeStore) -> Pod:
    (pod,) = store.pods().pods
    return pod


def heartbeats(store: SnowflakeStore) -> int:
    return int(store.session.query("count_heartbeats")[0][0])


def test_heartbeat_is_one_insert_without_a_lock(schema: Schema, store: SnowflakeStore) -> None:
    schema.forget()
    store.sync(HEARTBEAT)
    assert [statement.kind for statement in schema.log()] == ["call", "insert", "select"]
    assert not any(statement.locked for statement in schema.log())
    assert only_pod(store).last_heartbeat_ts == NOW + SECOND


def test_heartbeat_is_stored_while_both_tables_are_locked(
    schema: Schema, store: SnowflakeStore
) -> None:
    other = Session(schema.parameters, Statements())
    other.execute("BEGIN TRANSACTION")
    for table in ("STEP_TRACKER", "POD_HEALTH"):
        other.execute(f'UPDATE "{table}" SET version = version')
    store.sync(HEARTBEAT)
    assert only_pod(store).last_heartbeat_ts == NOW + SECOND
    other.close()


def test_folding_moves_the_last_heartbeat_and_deletes_all(
    schema: Schema, store: SnowflakeStore
) -> None:
    for seconds in (1, 3, 2):
        schema.set(clock=NOW + seconds * SECOND)
        store.sync(HEARTBEAT)
    before = only_pod(store)
    assert (before.last_heartbeat_ts, heartbeats(store)) == (NOW + 3 * SECOND + 1, 3)
    store.fold_heartbeats()
    assert (only_pod(store), heartbeats(store)) == (before, 0)


def test_folding_without_heartbeats_locks_nothing(schema: Schema, store: SnowflakeStore) -> None:
    schema.forget()
    store.fold_heartbeats()
    assert not any(statement.writes for statement in schema.log())


def test_folding_is_tried_once_so_that_the_leader_sends_its_heartbeats_meanwhile(
    schema: Schema, store: SnowflakeStore
) -> None:
    store.sync(HEARTBEAT)
    schema.forget()
    schema.fault("error", on="call", matching="FOLD", times=None, code="099999")
    with pytest.raises(StoreUnavailable):
        store.fold_heartbeats()
    assert [statement.kind for statement in schema.log()] == ["call"]
    schema.no_faults()
    store.fold_heartbeats()
    assert heartbeats(store) == 0


@pytest.mark.parametrize("is_folded", [False, True])
def test_pod_that_sent_a_heartbeat_since_it_was_observed_is_not_declared_dead(
    store: SnowflakeStore, is_folded: bool
) -> None:
    observed = only_pod(store)
    store.sync(HEARTBEAT)
    if is_folded:
        store.fold_heartbeats()
    assert store.declare_dead([observed]) == []
    current = only_pod(store)
    assert [pod.status for pod in store.declare_dead([current])] == ["down"]


def test_incarnation_that_has_ended_sends_no_heartbeat(store: SnowflakeStore) -> None:
    store.sync(SyncRequest("pod", "two", Join("pod", "two")))
    with pytest.raises(IncarnationEnded):
        store.sync(HEARTBEAT)
    assert heartbeats(store) == 0


def test_heartbeats_of_an_earlier_incarnation_do_not_count_and_are_deleted(
    schema: Schema, store: SnowflakeStore
) -> None:
    schema.set(clock=NOW + 9 * SECOND)
    store.sync(HEARTBEAT)
    schema.set(clock=NOW + 2 * SECOND)
    store.sync(SyncRequest("pod", "two", Join("pod", "two")))
    assert only_pod(store).last_heartbeat_ts == NOW + 2 * SECOND
    store.fold_heartbeats()
    assert only_pod(store).last_heartbeat_ts == NOW + 2 * SECOND
    assert heartbeats(store) == 0


def test_heartbeat_of_a_sleeping_pod_wakes_it(store: SnowflakeStore) -> None:
    store.sync(SyncRequest("pod", "one", Sleep("pod", "one")))
    store.sync(HEARTBEAT)
    assert (only_pod(store).status, heartbeats(store)) == ("up", 0)


def test_pruned_pod_leaves_no_heartbeat(schema: Schema, store: SnowflakeStore) -> None:
    store.sync(HEARTBEAT)
    store.declare_dead([only_pod(store)])
    assert store.prune_pod(only_pod(store)).streams == 1
    assert (store.pods().pods, heartbeats(store)) == ((), 0)


def test_heartbeat_with_a_claim_does_not_lock_the_pods(
    schema: Schema, store: SnowflakeStore
) -> None:
    store.submit([Submit("step", "{}", unique=True)])
    schema.forget()
    request = SyncRequest("pod", "one", SendHeartbeat("pod", "one"), claim=1, claim_token="token")
    assert [step.step_id for step in store.sync(request).claimed] == ["step"]
    assert {str(s.target).split('"')[-2] for s in schema.log() if s.locked} == {"STEP_TRACKER"}
