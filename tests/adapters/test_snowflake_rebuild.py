"""A rebuild replaces no right row, even if its reads do not see what was just committed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet_q.adapters.snowflake import rebuild
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.pod import Drain, Join
from fleet_q.core.ports import SyncRequest
from fleet_q.core.step import Complete, Submit
from tests.standin.client import Schema
from tests.waiting import LIMIT

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick_second_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuild, "SECOND_LOOK", 0.0)


@pytest.fixture
def schema(tables: Schema) -> Schema:
    return tables


@pytest.fixture
def pod(schema: Schema) -> Iterator[SnowflakeStore]:
    """The store of a pod that has claimed the step ``a``."""
    store = SnowflakeStore(schema.parameters, patience=LIMIT)
    store.submit([Submit("a", "{}")])
    store.sync(SyncRequest("pod", "one", Join("pod", "one"), claim=1, claim_token="t"))
    yield store
    schema.no_faults()
    assert store.rebuild(check=True).equal
    assert store.counts()["completed"] == 1
    assert [pod.status for pod in store.pods().pods] == ["draining"]
    store.close()


def go_on(pod: SnowflakeStore) -> None:
    """Change both tables."""
    outcomes = (Complete("a", "t", "1"),)
    pod.sync(SyncRequest("pod", "one", Drain("pod", "one"), outcomes=outcomes))


@pytest.mark.parametrize("table", ["step_events", "pod_events"])
def test_rebuild_that_never_sees_the_last_events_replaces_no_row(
    schema: Schema, pod: SnowflakeStore, table: str
) -> None:
    operator = SnowflakeStore(schema.parameters, patience=0.2)
    schema.fault("stale", table=table, times=None)
    go_on(pod)
    with pytest.raises(StoreUnavailable, match="events of these rows that were not read"):
        operator.rebuild()
    operator.close()


@pytest.mark.parametrize("table", ["step_events", "pod_events", "step_tracker", "pod_health"])
@pytest.mark.parametrize("check", [True, False])
def test_row_that_a_later_read_finds_right_is_not_reported(
    schema: Schema, pod: SnowflakeStore, table: str, check: bool
) -> None:
    """The stale reads are the comparison of all rows, and the first look at those that differ."""
    operator = SnowflakeStore(schema.parameters, patience=LIMIT)
    reads = 3 if table.endswith("_events") else 2
    schema.fault("stale", table=table, times=reads)
    go_on(pod)
    assert operator.rebuild(check=check).equal
    operator.close()


def test_wrong_row_is_corrected_once_the_log_is_seen(schema: Schema, pod: SnowflakeStore) -> None:
    operator = SnowflakeStore(schema.parameters, patience=LIMIT)
    go_on(pod)
    pod.session.execute("UPDATE STEP_TRACKER SET status = 'failed'")
    pod.session.execute("UPDATE POD_HEALTH SET status = 'up'")
    report = operator.rebuild()
    assert (report.differing_steps, report.differing_pods) == (("a",), ("pod",))
    operator.close()
