"""Progress is inserted with a sync, so it waits for no lock, and is moved to the steps later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Release, Submit
from tests.standin.client import Schema
from tests.waiting import LIMIT

HALF = '{"fraction":0.5,"text":"it\'s \\"half\\""}'
FULL = '{"fraction":1.0,"text":null}'
HEARTBEAT = SyncRequest("pod", "one", SendHeartbeat("pod", "one"))
NOW = 1_700_000_000_000_000


@pytest.fixture
def schema(tables: Schema) -> Schema:
    return tables


@pytest.fixture
def store(schema: Schema) -> Iterator[SnowflakeStore]:
    """A store with one pod, which holds a step."""
    schema.set(clock=NOW)
    store = SnowflakeStore(schema.parameters, patience=LIMIT)
    store.submit([Submit("step", "{}")])
    store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="token"))
    schema.forget()
    yield store
    assert store.rebuild(check=True).equal
    store.close()


def reporting(progress: str, token: str = "token") -> SyncRequest:
    return replace(HEARTBEAT, progress=(("step", token, progress),))


def rows(store: SnowflakeStore) -> int:
    return int(store.session.query("count_progress")[0][0])


def progress_of(store: SnowflakeStore) -> str | None:
    step = store.step("step")
    assert step is not None
    return step.progress


def test_progress_is_one_insert_without_a_lock(schema: Schema, store: SnowflakeStore) -> None:
    store.sync(reporting(HALF))
    assert [statement.kind for statement in schema.log()] == ["call", "insert", "insert", "select"]
    assert not any(statement.locked for statement in schema.log())


def test_progress_is_stored_while_steps_are_locked(schema: Schema, store: SnowflakeStore) -> None:
    other = Session(schema.parameters, Statements())
    other.execute("BEGIN TRANSACTION")
    other.execute('UPDATE "STEP_TRACKER" SET version = version')
    store.sync(reporting(HALF))
    assert rows(store) == 1
    other.close()


def test_posted_request_takes_progress_along_once(store: SnowflakeStore) -> None:
    request = reporting(HALF)
    assert store.post(request, 1, LIMIT) is not None
    assert store.poll(request, 1, LIMIT) is not None
    assert rows(store) == 1


def test_folding_moves_the_last_progress_and_deletes_all(
    schema: Schema, store: SnowflakeStore
) -> None:
    store.sync(reporting(FULL))
    schema.set(clock=NOW + 1)
    store.sync(reporting(HALF))
    store.sync(reporting(FULL, "another claim"))
    store.fold_heartbeats()
    assert (progress_of(store), rows(store)) == (HALF, 0)


def test_progress_of_a_claim_that_has_ended_is_deleted(store: SnowflakeStore) -> None:
    store.sync(replace(reporting(HALF), outcomes=(Release("step", "token"),)))
    store.fold_heartbeats()
    assert (progress_of(store), rows(store)) == (None, 0)


def test_folding_that_is_rolled_back_keeps_progress(schema: Schema, store: SnowflakeStore) -> None:
    store.sync(reporting(HALF))
    schema.fault("error", matching='DELETE FROM "STEP_PROGRESS"', code="099999")
    with pytest.raises(Exception, match="099999"):
        store.fold_heartbeats()
    assert (progress_of(store), rows(store)) == (None, 1)
    store.fold_heartbeats()
    assert (progress_of(store), rows(store)) == (HALF, 0)
