"""What is said about a moment of the past equals what was seen then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec.structs import asdict

from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.sqlite.store import SqliteStore
from fleet_q.core import past
from fleet_q.core.ports import Store
from fleet_q.core.search import StepFilter
from fleet_q.services.past import Past
from tests.conformance.clock import FakeClock
from tests.conformance.histories import BOOKKEEPING, History, Sight
from tests.waiting import LIMIT


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    store: Store = MemoryStore(clock)
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "store.db", clock=clock)
    yield store
    store.close()


def said(store: Store, then: Past, at: int) -> Sight:
    """What is said about a moment."""
    steps: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = store.steps_at(at, StepFilter(), 7, cursor)
        steps += [asdict(step) | {"progress": None} for step in page.steps]
        cursor = page.cursor
        if cursor is None:
            break
    counts = then.timeline.at(at)
    return Sight(
        at=counts.at,
        counts=counts.statuses,
        types={pair: +of_type for pair, of_type in counts.types.items() if +of_type},  # type: ignore[misc]
        steps=steps,
        queues=[
            asdict(queue) | {"tokens": 0, "refilled_ts": 0}
            for queue in past.queues_at(store.queue_events(), at)
        ],
        schedules=[
            asdict(row) | dict.fromkeys(BOOKKEEPING)
            for row in past.schedules_at(store.schedule_events(), at)
        ],
        pods=[
            asdict(pod) | {"last_heartbeat_ts": 0}
            for pod, _ in past.pods_at(store.pod_events(), at)
        ],
    )


@pytest.mark.parametrize("seed", range(5))
def test_past_is_what_was_seen(store: Store, clock: FakeClock, seed: int) -> None:
    history = History(store, clock, Random(seed))
    then = Past(store, kept=0, patience=LIMIT)
    for part in (60, 60):  # the second time, much of the past is known
        history.run(part)
        for seen in history.seen:
            assert said(store, then, seen.at) == seen
