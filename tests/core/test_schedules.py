"""Which times of a schedule fire, and which steps they submit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet_q.core import schedules
from fleet_q.core.errors import CorruptLog, InvalidInput
from fleet_q.core.lifecycle import STEP_STATUSES, StepStatus
from fleet_q.core.schedules import MISSED, ON_TIME, OVERLAP, Definition, Schedule, ScheduleWrite
from fleet_q.core.step import Submit

SECOND = 1_000_000
HOUR = 3_600 * SECOND


class Hours:
    """A calendar in which every expression means the full hours."""

    def check(self, cron: str, tz: str) -> None:
        if cron != "hourly":
            raise InvalidInput("cron")

    def next_time(self, cron: str, tz: str, after: int) -> int | None:
        return (after // HOUR + 1) * HOUR

    def text(self, time: int) -> str:
        return str(time // SECOND)


CALENDAR = Hours()
SUBMIT = Submit("", '{"task_type":"load"}', task_type="load", queue="nightly")


def definition(**changes: object) -> Definition:
    return replace(Definition("load", SUBMIT, cron="hourly"), **changes)


def made(at: int = 0, **changes: object) -> Schedule:
    write = schedules.put(None, definition(**changes), at, "me", CALENDAR)
    assert write is not None
    return write.after


def ids(write: ScheduleWrite) -> list[str]:
    return [step.step_id for step in write.steps]


def test_new_schedule_is_due_at_its_first_time_after_now() -> None:
    schedule = made(at=HOUR)
    assert schedule.next_ts == 2 * HOUR
    assert not schedules.is_due(schedule, 2 * HOUR - 1)
    assert schedules.is_due(schedule, 2 * HOUR)


def test_firing_submits_the_step_under_an_id_of_schedule_and_time() -> None:
    write = schedules.fire(made(), None, HOUR + 5, CALENDAR)
    assert write.steps == (replace(SUBMIT, step_id="load@3600"),)
    assert write.after.next_ts == 2 * HOUR
    assert (write.after.last_ts, write.after.last_step_id) == (HOUR, "load@3600")
    assert write.after.version == write.before.version  # type: ignore[union-attr]
    assert write.after.firings == 1


@pytest.mark.parametrize(
    ("missed", "expected"),
    [("latest", ["load@18000"]), ("all", ["load@14400", "load@18000"]), ("none", [])],
)
def test_missed_times_within_the_window_fire_as_the_rule_says(
    missed: str, expected: list[str]
) -> None:
    schedule = made(missed=missed, window=2 * HOUR, overlap="allow")
    write = schedules.fire(schedule, None, 5 * HOUR + HOUR // 2, CALENDAR)
    assert ids(write) == expected
    assert write.after.next_ts == 6 * HOUR


@pytest.mark.parametrize("missed", MISSED)
def test_time_that_is_fired_a_little_late_is_not_missed(missed: str) -> None:
    schedule = made(missed=missed, window=0)
    assert ids(schedules.fire(schedule, None, HOUR + ON_TIME - SECOND, CALENDAR)) == ["load@3600"]


def test_latest_of_a_long_ago_time_is_found_in_any_window() -> None:
    schedule = made(every=300 * 24 * HOUR, cron=None, window=schedules.LONGEST_WINDOW)
    write = schedules.fire(schedule, None, 500 * 24 * HOUR, CALENDAR)
    assert ids(write) == [f"load@{300 * 24 * 3600}"]


def test_many_missed_times_fire_in_several_transactions() -> None:
    schedule = made(missed="all", overlap="allow", window=schedules.LONGEST_WINDOW)
    at, times = 250 * HOUR, []
    while schedules.is_due(schedule, at):
        write = schedules.fire(schedule, None, at, CALENDAR)
        assert len(write.steps) <= schedules.FIRED_AT_ONCE
        times += ids(write)
        schedule = write.after
    assert times == [f"load@{hour * 3600}" for hour in range(1, 251)]


@pytest.mark.parametrize(
    ("overlap", "last", "submitted", "parents"),
    [
        ("skip", "completed", 1, None),
        ("skip", "failed", 1, None),
        ("skip", "pending", 0, None),
        ("skip", "claimed", 0, None),
        ("one", None, 1, None),
        ("one", "cancelled", 1, None),
        ("one", "claimed", 1, '{"load@3600":"finished"}'),
        ("one", "pending", 0, None),
        ("one", "waiting", 0, None),
        ("allow", "claimed", 1, None),
    ],
)
def test_overlap_with_the_last_step(
    overlap: str, last: StepStatus | None, submitted: int, parents: str | None
) -> None:
    schedule = schedules.fire(made(overlap=overlap), None, HOUR, CALENDAR).after
    write = schedules.fire(schedule, last, 2 * HOUR, CALENDAR)
    assert [step.parents for step in write.steps] == [parents] * submitted
    assert write.after.skipped == 1 - submitted
    assert write.after.next_ts == 3 * HOUR
    assert write.after.last_step_id == ("load@7200" if submitted else "load@3600")


@given(
    overlap=st.sampled_from(OVERLAP),
    missed=st.sampled_from(MISSED),
    gaps=st.lists(st.integers(0, 20 * HOUR), min_size=1, max_size=12),
    statuses=st.lists(st.sampled_from(STEP_STATUSES), min_size=12, max_size=12),
)
def test_each_time_is_decided_once_and_in_order(
    overlap: str, missed: str, gaps: list[int], statuses: list[StepStatus]
) -> None:
    schedule, at, fired = made(overlap=overlap, missed=missed, window=12 * HOUR), 0, list[int]()
    for gap, status in zip(gaps, statuses, strict=False):
        at += gap
        while schedules.is_due(schedule, at):
            last = status if schedule.last_step_id is not None else None
            write = schedules.fire(schedule, last, at, CALENDAR)
            assert write.after.next_ts is not None
            assert schedule.next_ts is not None
            assert write.after.next_ts > schedule.next_ts
            fired += [int(step_id.removeprefix("load@")) for step_id in ids(write)]
            schedule = write.after
        assert schedule.next_ts == (at // HOUR + 1) * HOUR
    assert fired == sorted(set(fired))
    assert all(time * SECOND % HOUR == 0 and time * SECOND <= at for time in fired)


def test_trigger_fires_now_and_leaves_the_next_time() -> None:
    schedule = made()
    write = schedules.trigger(schedule, None, 90 * SECOND, CALENDAR)
    assert ids(write) == ["load@90"]
    assert write.after.next_ts == HOUR


def test_putting_the_same_definition_changes_nothing_and_keeps_missed_times() -> None:
    schedule = made()
    assert schedules.put(schedule, definition(), 50 * HOUR, "me", CALENDAR) is None


def test_putting_other_options_keeps_the_next_time_and_other_times_replace_it() -> None:
    schedule = made()
    changed = schedules.put(schedule, definition(overlap="allow"), 5 * HOUR, None, CALENDAR)
    assert changed is not None
    assert changed.event is not None
    assert (changed.event.type, changed.after.next_ts) == ("changed", HOUR)
    every = definition(cron=None, every=7 * HOUR)
    changed = schedules.put(schedule, every, 8 * HOUR, None, CALENDAR)
    assert changed is not None
    assert changed.after.next_ts == 14 * HOUR


def test_paused_schedule_is_not_due_and_stays_paused_when_it_is_put() -> None:
    paused = schedules.set_status(made(), "paused", 0, "me", CALENDAR)
    assert paused is not None
    assert paused.event is not None
    assert paused.event.type == "paused"
    assert not schedules.is_due(paused.after, 9 * HOUR)
    put = schedules.put(paused.after, definition(overlap="one"), 9 * HOUR, "me", CALENDAR)
    assert put is not None
    assert (put.after.status, put.after.next_ts) == ("paused", None)
    resumed = schedules.set_status(put.after, "active", 9 * HOUR, "me", CALENDAR)
    assert resumed is not None
    assert resumed.after.next_ts == 10 * HOUR


def test_deleted_schedule_can_be_put_again() -> None:
    deleted = schedules.set_status(made(), "deleted", 5, "me", CALENDAR)
    assert deleted is not None
    assert schedules.set_status(deleted.after, "deleted", 6, "me", CALENDAR) is None
    again = schedules.put(deleted.after, definition(), 3 * HOUR, "me", CALENDAR)
    assert again is not None
    assert again.event is not None
    assert (again.event.type, again.after.version, again.after.next_ts) == ("created", 3, 4 * HOUR)


def test_fold_of_events_gives_the_definition_and_rejects_gaps() -> None:
    first = schedules.put(None, definition(), 0, "me", CALENDAR)
    assert first is not None
    assert first.event is not None
    second = schedules.set_status(first.after, "paused", 7, "me", CALENDAR)
    assert second is not None
    assert second.event is not None
    assert schedules.fold_schedule([first.event, second.event]) == second.after
    assert schedules.fold_schedule([]) is None
    with pytest.raises(CorruptLog):
        schedules.fold_schedule([second.event])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": ""}, "name must be a text"),
        ({"schedule": "x" * 171}, "name must be a text"),
        ({"cron": None}, "either a cron expression or every"),
        ({"every": HOUR}, "either a cron expression or every"),
        ({"cron": "never"}, "cron"),
        ({"cron": None, "every": 1}, "every must be 1 to"),
        ({"cron": None, "every": HOUR, "tz": "Europe/Berlin"}, "tz is for cron"),
        ({"window": -1}, "window must be 0 to"),
        ({"overlap": "two"}, "overlap must be skip, one or allow, not 'two'"),
        ({"missed": "some"}, "missed must be latest, all or none, not 'some'"),
    ],
)
def test_invalid_definitions_are_rejected(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        schedules.check(definition(**changes), CALENDAR)
