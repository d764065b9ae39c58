"""Limits of queues are exact, whatever reads do not see yet, and whoever waits for a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet_q.adapters.snowflake.session import Session
from fleet_q.adapters.snowflake.statements import Statements
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.pod import Join
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.queues import QueueChange
from fleet_q.core.step import Complete, Submit
from tests.standin.client import Schema
from tests.waiting import LIMIT, wait_until

pytestmark = pytest.mark.slow

Call = Callable[[SnowflakeStore, SyncRequest], SyncResult | None]


@pytest.fixture
def schema(tables: Schema) -> Schema:
    return tables


@pytest.fixture
def stores(schema: Schema) -> Iterator[list[SnowflakeStore]]:
    """Two stores, with a pod each, in one schema with ten steps of the queue ``q``."""
    stores = [SnowflakeStore(schema.parameters, patience=LIMIT) for _ in range(2)]
    for number, store in enumerate(stores):
        store.sync(SyncRequest(f"pod {number}", "one", Join(f"pod {number}", "one")))
    stores[0].submit([Submit(f"step {n}", "{}", unique=True, queue="q") for n in range(10)])
    yield stores
    schema.no_faults()
    assert stores[0].rebuild(check=True).equal
    for store in stores:
        store.close()


def sync(store: SnowflakeStore, request: SyncRequest) -> SyncResult | None:
    return store.sync(request)


def post(store: SnowflakeStore, request: SyncRequest) -> SyncResult | None:
    return store.post(request, 1, patience=0.0)


def request(number: int, claim: int = 5, token: str = "token") -> SyncRequest:
    return SyncRequest(f"pod {number}", "one", claim=claim, claim_token=f"{token} {number}")


def waiting(schema: Schema) -> int:
    return sum(bool(session["waiting_for"]) for session in schema.sessions())


def running(store: SnowflakeStore) -> int:
    return store.counts()["claimed"]


def know_of_limits(stores: list[SnowflakeStore]) -> None:
    """Each store learns that there are limits from the answer to its first claim."""
    for number, store in enumerate(stores):
        store.sync(SyncRequest(f"pod {number}", "one"))


@pytest.mark.parametrize("fault", ["none", "outdated", "stale"])
@pytest.mark.parametrize("first", [sync, post])
@pytest.mark.parametrize("second", [sync, post])
def test_claims_that_waited_for_each_other_do_not_exceed_a_limit(
    schema: Schema, stores: list[SnowflakeStore], first: Call, second: Call, fault: str
) -> None:
    stores[0].set_queue("q", QueueChange(max_running=3))
    know_of_limits(stores)
    if fault == "outdated":
        schema.fault("outdated", on="update", times=None)
    elif fault == "stale":
        schema.fault("stale", times=None)
    holder = Session(schema.parameters, Statements())
    holder.execute("BEGIN TRANSACTION")
    holder.execute("UPDATE STEP_TRACKER SET version = version WHERE FALSE")
    with ThreadPoolExecutor(2) as threads:
        claims = []
        for number, (store, call) in enumerate(zip(stores, (first, second), strict=True)):
            claims.append(threads.submit(call, store, request(number)))
            wait_until(lambda count=number: waiting(schema) > count)  # type: ignore[misc]
        holder.execute("COMMIT")
        for claim in claims:
            claim.result()
    holder.close()
    schema.no_faults()
    assert running(stores[0]) == 3


def test_claims_with_stale_reads_do_not_exceed_a_limit(
    schema: Schema, stores: list[SnowflakeStore]
) -> None:
    stores[0].set_queue("q", QueueChange(max_running=3))
    know_of_limits(stores)
    schema.fault("stale", times=None)
    for turn in range(4):
        stores[turn % 2].sync(request(turn % 2, claim=2, token=f"turn {turn}"))
        assert running(stores[turn % 2]) <= 3
    schema.no_faults()
    assert running(stores[0]) == 3


def test_claim_that_waited_while_a_limit_was_set_takes_nothing_beyond_it(
    schema: Schema, stores: list[SnowflakeStore]
) -> None:
    """Its UPDATE does not see the limit, which the transaction that it waited for has set."""
    schema.fault("outdated", on="update", matching='UPDATE "STEP_TRACKER"', times=None)
    unaware, setter = stores
    holder = Session(schema.parameters, Statements())
    holder.execute("BEGIN TRANSACTION")
    holder.execute("UPDATE STEP_TRACKER SET version = version WHERE FALSE")
    with ThreadPoolExecutor(2) as threads:
        setting = threads.submit(setter.set_queue, "q", QueueChange(max_running=3))
        wait_until(lambda: waiting(schema) > 0)
        claim = threads.submit(unaware.sync, request(0))
        wait_until(lambda: waiting(schema) > 1)
        holder.execute("COMMIT")
        setting.result()
        with pytest.raises(StoreUnavailable, match="rolled back"):
            claim.result()
    holder.close()
    schema.no_faults()
    assert running(setter) == 0
    assert len(setter.sync(request(1)).claimed) == 3


def test_pod_that_does_not_know_of_limits_takes_nothing_from_a_queue_with_limits(
    stores: list[SnowflakeStore],
) -> None:
    stores[0].set_queue("q", QueueChange(max_running=3))
    stores[0].submit([Submit("free", "{}", priority=-1)])
    result = stores[1].sync(request(1, token="first"))
    assert [step.step_id for step in result.claimed] == ["free"]
    assert result.more
    assert len(stores[1].sync(request(1, token="second")).claimed) == 3


def test_claim_locks_queues_before_steps_only_where_there_are_limits(
    schema: Schema, stores: list[SnowflakeStore]
) -> None:
    def locked(call: Callable[[], object]) -> list[str]:
        schema.forget()
        call()
        locks = (str(entry.target).split('"')[-2] for entry in schema.log() if entry.locked)
        return list(dict.fromkeys(locks))

    (step,) = stores[0].sync(request(0, claim=1, token="first")).claimed
    assert locked(lambda: stores[0].sync(request(0, 1, "a"))) == ["STEP_TRACKER"]
    stores[0].set_queue("q", QueueChange(max_running=9))
    assert locked(lambda: stores[0].sync(request(0, 1, "b"))) == ["QUEUES", "STEP_TRACKER"]
    outcome = Complete(step.step_id, "first 0", "1")
    done = SyncRequest("pod 0", "one", outcomes=(outcome,))
    assert locked(lambda: stores[0].sync(done)) == ["STEP_TRACKER"]
