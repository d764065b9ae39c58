"""Steps by hand on Snowflake: a consumer that waits sleeps, and looking costs no warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fleet_q import FleetQ, Settings
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.step import Submit
from tests.fleet_on_snowflake.test_idle import costs
from tests.standin.client import QUICK_RETRIES, Schema
from tests.standin.log import Entry
from tests.waiting import LIMIT, wait_until

SETTINGS = Settings(
    heartbeat_interval=0.5,
    claim_interval=0.1,
    sleep_poll_interval=0.1,
    sleep_after=0.3,
    recovery_interval=LIMIT,
    dead_pod_threshold=LIMIT,
)


@pytest.fixture
def app(made: Schema) -> Iterator[FleetQ]:
    store = SnowflakeStore({**made.parameters, **QUICK_RETRIES})
    yield FleetQ(store, settings=SETTINGS)
    store.close()


def is_asleep(store: SnowflakeStore) -> bool:
    return [pod.status for pod in store.pods().pods] == ["asleep"]


@pytest.mark.slow
def test_consumer_that_waits_falls_asleep_and_gets_the_next_step(
    app: FleetQ, store: SnowflakeStore
) -> None:
    with app.consumer() as consumer, ThreadPoolExecutor() as threads:
        waiting = threads.submit(consumer.claim_steps, wait=LIMIT)
        wait_until(lambda: is_asleep(store))
        store.submit([Submit("a", "{}"), Submit("b", "{}")])
        (step,) = waiting.result(LIMIT)
        (other,) = consumer.claim_steps(wait=LIMIT)
        consumer.requeue_step(other, delay=3600)
        consumer.complete_step(step, {"rows": 3})
        assert app.status("a").result == {"rows": 3}
        assert consumer.claim_steps(wait=0) == []


def test_sleeping_consumer_looks_without_a_warehouse_while_nothing_changes(
    app: FleetQ, store: SnowflakeStore, made: Schema
) -> None:
    with app.consumer() as consumer:
        while not is_asleep(store):
            consumer.claim_steps(wait=0.05)

        def five_looks() -> list[Entry]:
            made.forget()
            for _ in range(5):
                assert consumer.claim_steps(wait=0) == []
            log = made.log()
            assert len(log) >= 5
            return log

        # What the pod began before it fell asleep may still come to an end.
        wait_until(lambda: not any(map(costs, five_looks())))
        assert not any(map(costs, five_looks()))
        store.submit([Submit("step", "{}")])
        (step,) = consumer.claim_steps(wait=LIMIT)
        assert step.step_id == "step"
