"""Schedules on Snowflake: one row and one firing, even if no query sees what another session has
just committed, and if answers are lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core import schedules
from fleet_q.core.schedules import Definition, Schedule, ScheduleWrite
from fleet_q.core.step import Submit
from tests.standin.client import Schema

from .test_snowflake_change import losing_an_answer

pytestmark = pytest.mark.slow

NIGHTLY = Definition("nightly", Submit("", "{}"), cron="0 2 * * *")


@pytest.fixture
def schema(tables: Schema) -> Schema:
    return tables


@pytest.fixture
def stores(schema: Schema) -> Iterator[tuple[SnowflakeStore, SnowflakeStore]]:
    """Two stores in one schema."""
    pair = SnowflakeStore(schema.parameters), SnowflakeStore(schema.parameters)
    for store in pair:
        store.check_schema()
    yield pair
    schema.no_faults()
    assert pair[0].rebuild(check=True).equal
    for store in pair:
        store.close()


def put() -> ScheduleWrite:
    write = schedules.put(None, NIGHTLY, 0, "me", CALENDAR)
    assert write is not None
    return write


def triggered(row: Schedule, at: int) -> ScheduleWrite:
    return schedules.trigger(row, None, at, CALENDAR)


def test_schedule_that_two_pods_put_while_reads_are_stale_has_one_row(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore]
) -> None:
    schema.fault("stale", times=None)
    one, two = stores
    assert one.write_schedule(put())
    assert not two.write_schedule(put())
    schema.no_faults()
    assert one.schedules().schedules == (put().after,)


def test_two_leaders_fire_a_time_once_while_reads_are_stale(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore]
) -> None:
    one, two = stores
    assert one.write_schedule(put())
    schema.fault("stale", times=None)
    write = triggered(put().after, 5)
    assert one.write_schedule(write)
    assert not two.write_schedule(write)
    schema.no_faults()
    assert one.counts()["pending"] == 1
    assert one.schedules().schedules == (write.after,)


def test_time_that_has_fired_is_not_submitted_again_while_reads_are_stale(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore]
) -> None:
    one, two = stores
    assert one.write_schedule(put())
    schema.fault("stale", times=None)
    first = triggered(put().after, 5)
    assert one.write_schedule(first)
    assert two.write_schedule(triggered(first.after, 5))
    schema.no_faults()
    assert one.counts()["pending"] == 1


def test_write_whose_answer_is_lost_is_done_once_and_answered_as_done(
    schema: Schema, stores: tuple[SnowflakeStore, SnowflakeStore]
) -> None:
    one, _ = stores
    schema.fault("stale", times=None)
    with losing_an_answer(one):
        assert one.write_schedule(put())
    write = triggered(put().after, 5)
    with losing_an_answer(one):
        assert one.write_schedule(write)
    schema.no_faults()
    assert one.counts()["pending"] == 1
    assert one.schedules().schedules == (write.after,)


def test_step_that_waits_for_one_that_has_ended_is_ready_at_once(
    stores: tuple[SnowflakeStore, SnowflakeStore],
) -> None:
    one, _ = stores
    one.submit([Submit("last", "{}")])
    one.cancel("last")
    assert one.write_schedule(put())
    write = triggered(put().after, 5)
    (submit,) = write.steps
    waiting = replace(submit, parents='{"last":"finished"}')
    assert one.write_schedule(replace(write, steps=(waiting,)))
    assert one.counts()["pending"] == 1
