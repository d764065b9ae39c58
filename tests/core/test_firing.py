"""A leader fires what is due, whatever other leaders and broken schedules do."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.adapters.memory import MemoryStore
from fleet_q.core import schedules
from fleet_q.core.calls import run
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.firing import FiringStats, fire_due
from fleet_q.core.schedules import Definition, ScheduleWrite
from fleet_q.core.step import Submit

SECOND = 1_000_000
HOUR = 3_600 * SECOND
HOURLY = Definition("a", Submit("", "{}"), every=HOUR, overlap="allow", missed="all")


class Fleet:
    def __init__(self) -> None:
        self.now = 0
        self.store = MemoryStore(lambda: self.now)
        self.failed: list[str] = []

    def put(self, definition: Definition) -> None:
        write = schedules.put(None, definition, self.now, None, CALENDAR)
        assert write is not None
        assert self.store.write_schedule(write)

    def fire(self) -> FiringStats:
        stats = FiringStats()
        run(
            self.store,
            fire_due(CALENDAR, "pod", stats, lambda name, _: self.failed.append(name)),
        )
        return stats


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_all_due_schedules_fire_and_the_next_time_is_told(fleet: Fleet) -> None:
    fleet.put(HOURLY)
    fleet.put(replace(HOURLY, schedule="b", every=5 * HOUR))
    fleet.put(replace(HOURLY, schedule="c", every=7 * HOUR))
    fleet.now = 5 * HOUR + SECOND
    assert fleet.fire() == FiringStats(6, 0, fleet.now, 6 * HOUR)
    assert fleet.fire() == FiringStats(0, 0, fleet.now, 6 * HOUR)
    assert fleet.store.counts()["pending"] == 6


def test_hundreds_of_missed_times_fire_in_one_run(fleet: Fleet) -> None:
    fleet.put(replace(HOURLY, window=schedules.LONGEST_WINDOW))
    fleet.now = 1_000 * HOUR
    assert fleet.fire().submitted == 1_000


def test_schedule_that_another_leader_fired_is_read_again(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.put(HOURLY)
    fleet.now = HOUR
    write_schedule = MemoryStore.write_schedule

    def other_first(store: MemoryStore, write: ScheduleWrite, by: str | None = None) -> bool:
        write_schedule(store, write, "other")
        return write_schedule(store, write, by)

    monkeypatch.setattr(MemoryStore, "write_schedule", other_first)
    assert fleet.fire() == FiringStats(0, 0, HOUR, 2 * HOUR)
    assert fleet.store.counts()["pending"] == 1


def test_schedule_that_cannot_fire_does_not_stop_the_others(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.put(replace(HOURLY, schedule="broken"))
    fleet.put(HOURLY)
    row = fleet.store._database.schedules["broken"]  # type: ignore[attr-defined]
    fleet.store._database.schedules["broken"] = replace(  # type: ignore[attr-defined]
        row, step="{"
    )
    fleet.now = HOUR
    stats = fleet.fire()
    assert (stats.submitted, stats.failed, fleet.failed) == (1, 1, ["broken"])


def test_store_that_is_unavailable_ends_the_run(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.put(HOURLY)
    fleet.now = HOUR

    def unavailable(*args: object) -> bool:
        raise StoreUnavailable("away")

    monkeypatch.setattr(MemoryStore, "write_schedule", unavailable)
    with pytest.raises(StoreUnavailable):
        fleet.fire()
    assert fleet.failed == []
