"""The metrics of a fleet on Snowflake: a scrape needs a warehouse only after a change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.services.metrics.exposition import Exposition
from fleet_q.services.metrics.fleet_count import BILLED_COUNT_INTERVAL, FleetCount
from tests.fleet_on_snowflake.by_hand import USUAL, World

SCRAPES = 20


@contextmanager
def scraped(world: World, seen: Callable[[], object]) -> Iterator[Callable[[], bytes]]:
    """A scrape of a fleet in which seven steps wait, a while after they have been counted."""
    with closing(SnowflakeStore(world.schema.parameters)) as store:
        count = FleetCount(lambda: store, USUAL, seen=seen, within=60, clock=lambda: world.now)
        exposition = Exposition(lambda: None, None, count)

        def scrape() -> bytes:
            world.pass_time(BILLED_COUNT_INTERVAL)
            return exposition.text("")[0]

        world.submit(7)
        for _ in range(3):
            assert b"fleet_q_pending_steps 7.0" in scrape()
        world.schema.forget()
        yield scrape


def test_scrapes_of_an_idle_fleet_need_no_warehouse(world: World) -> None:
    with scraped(world, seen=lambda: None) as scrape:
        for _ in range(SCRAPES):
            scrape()
        log = world.schema.log()
        assert len(log) == SCRAPES
        assert not any(each.warehouse or each.writes for each in log)
        world.submit(1)
        assert b"fleet_q_pending_steps 8.0" in scrape()


def test_scrapes_send_no_statement_while_the_pod_sees_no_change(world: World) -> None:
    seen = [1]
    with scraped(world, seen=lambda: tuple(seen)) as scrape:
        for _ in range(SCRAPES):
            scrape()
        assert world.schema.log() == []
        world.submit(1)
        world.schema.forget()
        seen.append(2)
        assert b"fleet_q_pending_steps 8.0" in scrape()
        assert len(world.schema.log()) == 3
