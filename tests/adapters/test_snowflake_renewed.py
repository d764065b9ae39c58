"""A pod whose session was renewed believes no read that does not show yet what it has done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.pod import Join, Leave
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Submit
from tests.standin.client import Schema
from tests.waiting import LIMIT

pytestmark = pytest.mark.slow

CHECK = SyncRequest("pod", "one", check_held=(("a", "t"),))
CLAIM = SyncRequest("pod", "one", claim=1, claim_token="u")


@pytest.fixture
def schema(tables: Schema) -> Schema:
    return tables


@pytest.fixture
def stores(schema: Schema) -> Iterator[tuple[SnowflakeStore, SnowflakeStore]]:
    """A pod's store before and after its session was renewed. The pod has joined a second time and
    claimed a step, which no query of another session shows."""
    before, after = (SnowflakeStore(schema.parameters, patience=LIMIT) for _ in range(2))
    before.submit([Submit("a", "{}", priority=1), Submit("b", "{}")])
    before.sync(SyncRequest("pod", "zero", Join("pod", "zero")))
    schema.fault("stale", times=None)
    before.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="t"))
    yield before, after
    schema.no_faults()
    assert after.rebuild(check=True).equal
    for store in (before, after):
        store.close()


def test_claim_that_a_read_does_not_show_yet_is_not_lost(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore]
) -> None:
    _, after = stores
    assert after.sync(CHECK).lost == ()
    schema.forget()
    schema.no_faults()
    assert after.sync(CHECK).lost == ()
    assert [entry.kind for entry in schema.log()].count("call") == 1, "it is confirmed only if lost"


def test_claim_that_is_lost_is_reported(stores: tuple[SnowflakeStore, SnowflakeStore]) -> None:
    before, after = stores
    before.cancel("a")
    assert after.sync(CHECK).lost == ("a",)


def test_pod_that_a_read_does_not_show_yet_is_not_ended(
    stores: tuple[SnowflakeStore, SnowflakeStore],
) -> None:
    _, after = stores
    assert [step.step_id for step in after.sync(CLAIM).claimed] == ["b"]


@pytest.mark.parametrize("method", ["sync", "post"])
def test_pod_that_has_ended_is_told(
    stores: tuple[SnowflakeStore, SnowflakeStore], method: str
) -> None:
    before, after = stores
    before.sync(SyncRequest("pod", "one", Leave("pod", "one")))
    with pytest.raises(IncarnationEnded):
        after.sync(CLAIM) if method == "sync" else after.post(CLAIM, 1, 10.0)
