"""One id is one step, even if no query sees what another session has just committed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.errors import StepConflict
from fleet_q.core.step import Submit
from tests.standin.client import Schema
from tests.submitted import are_new

pytestmark = pytest.mark.slow


@pytest.fixture
def schema(tables: Schema) -> Schema:
    return tables


@pytest.fixture
def stores(schema: Schema) -> Iterator[tuple[SnowflakeStore, SnowflakeStore]]:
    """Two stores in one schema, whose reads never see the last commit of the other."""
    pair = SnowflakeStore(schema.parameters), SnowflakeStore(schema.parameters)
    for store in pair:
        store.check_schema()
    schema.fault("stale", times=None)
    yield pair
    schema.no_faults()
    assert pair[0].rebuild(check=True).equal
    for store in pair:
        store.close()


def test_same_id_is_one_step_while_reads_are_stale(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore]
) -> None:
    one, two = stores
    assert are_new(one.submit([Submit("a", "{}")])) == [True]
    assert are_new(two.submit([Submit("a", "{}"), Submit("b", "{}")])) == [False, True]
    assert one.counts()["pending"] == 1, "reads are stale"
    assert are_new(one.submit([Submit("b", "{}")])) == [False]
    schema.no_faults()
    assert one.counts()["pending"] == 2
    assert [event.version for event in two.history("b")] == [1]


def test_other_payload_is_a_conflict_while_reads_are_stale(
    stores: tuple[SnowflakeStore, SnowflakeStore],
) -> None:
    one, two = stores
    one.submit([Submit("a", "{}")])
    with pytest.raises(StepConflict):
        two.submit([Submit("a", '{"n": 1}')])


@pytest.mark.parametrize("is_unique", [True, False])
def test_submission_whose_answer_is_lost_is_one_step_while_reads_are_stale(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore], is_unique: bool
) -> None:
    """The session that tries again does not see that the first attempt was committed."""
    new = [Submit("a", "{}", unique=True), Submit("b", "{}", unique=is_unique)]
    schema.fault("drop", on="call", then="sign-in")
    assert are_new(stores[0].submit(new)) == [True, is_unique]
    schema.no_faults()
    assert stores[0].counts()["pending"] == 2
