"""A claim that waited for its lock gets steps, whatever its UPDATE saw of those who held it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet_q.adapters.snowflake.parameters import STATEMENT_TIMEOUT
from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.audit import audit
from fleet_q.core.pod import Join, Leave, SendHeartbeat
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.step import Complete, Fail, Release, Submit
from tests.standin.client import Schema
from tests.waiting import LIMIT, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def schema(tables: Schema) -> Schema:
    return tables


@pytest.fixture
def stores(schema: Schema) -> Iterator[list[SnowflakeStore]]:
    """Two stores, with a pod each, in one schema with two steps."""
    stores = [SnowflakeStore(schema.parameters, patience=LIMIT) for _ in range(2)]
    for number, store in enumerate(stores):
        incarnation = f"incarnation {number}"
        store.sync(SyncRequest(f"pod {number}", incarnation, Join(f"pod {number}", incarnation)))
    stores[0].submit([Submit(f"step {number}", "{}", unique=True) for number in range(2)])
    yield stores
    schema.no_faults()
    assert stores[0].rebuild(check=True).equal
    assert audit(stores[0].step_events()).faults == []
    for store in stores:
        store.close()


def waiting(schema: Schema) -> int:
    """How many sessions wait for a lock."""
    return sum(bool(session["waiting_for"]) for session in schema.sessions())


def test_retry_keeps_its_delay_although_the_time_of_a_claim_is_from_before_its_wait(
    schema: Schema, stores: list[SnowflakeStore]
) -> None:
    store, failed_at = stores[0], 1_700_000_000_000_000
    schema.set(clock=failed_at)
    store.sync(SyncRequest("pod 0", "incarnation 0", claim=2, claim_token="t"))
    failures = tuple(
        Fail(f"step {number}", "t", "Boom", retry_delay=10_000_000) for number in range(2)
    )
    store.sync(SyncRequest("pod 0", "incarnation 0", outcomes=failures))

    def claim_at(seconds: int, token: str) -> int:
        schema.set(clock=failed_at + seconds * 1_000_000)
        request = SyncRequest("pod 0", "incarnation 0", claim=1, claim_token=token)
        return len(store.sync(request).claimed)

    assert claim_at(-STATEMENT_TIMEOUT, "of a claim that has waited") == 0
    assert claim_at(9, "too early") == 0
    assert claim_at(10, "in time") == 1
    assert claim_at(-STATEMENT_TIMEOUT - 1, "after the clock was set back") == 1
    schema.set(clock=failed_at + 10_000_000)


def sync(store: SnowflakeStore, request: SyncRequest) -> SyncResult | None:
    return store.sync(request)


def post(store: SnowflakeStore, request: SyncRequest) -> SyncResult | None:
    return store.post(request, 1, patience=0.0)


@pytest.mark.parametrize("first", [sync, post])
@pytest.mark.parametrize("second", [sync, post])
@pytest.mark.parametrize("is_outdated", [False, True])
def test_two_claims_that_waited_for_the_same_lock_get_a_step_each(
    schema: Schema,
    stores: list[SnowflakeStore],
    first: Callable[[SnowflakeStore, SyncRequest], SyncResult | None],
    second: Callable[[SnowflakeStore, SyncRequest], SyncResult | None],
    is_outdated: bool,
) -> None:
    if is_outdated:
        schema.fault("outdated", on="update", matching='UPDATE "STEP_TRACKER"', times=None)
    holder = Session(schema.parameters, Statements())
    holder.execute("BEGIN TRANSACTION")
    holder.execute("UPDATE STEP_TRACKER SET version = version WHERE FALSE")
    with ThreadPoolExecutor(2) as threads:
        claims = []
        for number, (store, call) in enumerate(zip(stores, (first, second), strict=True)):
            request = SyncRequest(
                f"pod {number}",
                f"incarnation {number}",
                claim=1,
                claim_token=f"token {number}",
            )
            claims.append(threads.submit(call, store, request))
            wait_until(lambda count=number: waiting(schema) > count)  # type: ignore[misc]
        holder.execute("COMMIT")
        results = [claim.result() for claim in claims]
    holder.close()
    claimed = [step.step_id for result in results if result for step in result.claimed]
    assert sorted(claimed) == ["step 0", "step 1"]


def test_heartbeat_finds_claims_of_a_call_that_was_carried_out_late(
    stores: list[SnowflakeStore],
) -> None:
    store, pod_id, incarnation = stores[0], "pod 0", "incarnation 0"
    claim = SyncRequest(pod_id, incarnation, claim=1, claim_token="token")
    (step,) = store.sync(claim).claimed
    store.sync(SyncRequest(pod_id, incarnation, outcomes=(Complete(step.step_id, "token", "1"),)))
    (late,) = store.sync(claim).claimed  # after its repetition was answered
    heartbeat = SyncRequest(pod_id, incarnation, SendHeartbeat(pod_id, incarnation))
    assert store.sync(heartbeat).unexpected == ((late.step_id, "token"),)
    known = SyncRequest(
        pod_id,
        incarnation,
        SendHeartbeat(pod_id, incarnation),
        check_held=((late.step_id, "token"),),
    )
    assert store.sync(known).unexpected == ()


def test_sync_locks_steps_before_pods(schema: Schema, stores: list[SnowflakeStore]) -> None:
    release, leave = Release("step 0", "token"), Leave("pod 0", "incarnation 0")
    schema.forget()
    stores[0].sync(SyncRequest("pod 0", "incarnation 0", leave, outcomes=(release,)))
    locked = [str(entry.target).split('"')[-2] for entry in schema.log() if entry.locked]
    assert locked == ["STEP_TRACKER", "POD_HEALTH"]
