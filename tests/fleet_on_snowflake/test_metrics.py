"""The metrics of a fleet on Snowflake: a scrape needs a warehouse only after a change."""

from __future__ import annotations

from contextlib import closing

from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.services.metrics.exposition import Exposition
from fleet_q.services.metrics.fleet_count import BILLED_COUNT_INTERVAL, FleetCount
from tests.fleet_on_snowflake.by_hand import USUAL, World


def test_scrapes_of_an_idle_fleet_need_no_warehouse(world: World) -> None:
    with closing(SnowflakeStore(world.schema.parameters)) as store:
        count = FleetCount(lambda: store, USUAL, within=60, clock=lambda: world.now)
        exposition = Exposition(lambda: None, None, count)
        world.submit(7)
        for _ in range(3):
            assert b"fleet_q_pending_steps 7.0" in exposition.text("")[0]
            world.pass_time(BILLED_COUNT_INTERVAL)
        world.schema.forget()
        for _ in range(20):
            world.pass_time(BILLED_COUNT_INTERVAL)
            assert b"fleet_q_pending_steps 7.0" in exposition.text("")[0]
        log = world.schema.log()
        assert len(log) == 20
        assert not any(each.warehouse or each.writes for each in log)
        world.submit(1)
        world.pass_time(BILLED_COUNT_INTERVAL)
        assert b"fleet_q_pending_steps 8.0" in exposition.text("")[0]
