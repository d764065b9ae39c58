"""Times of cron expressions are those that a plain reference finds over ten years of five zones. It
goes minute by minute through the days on which the clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core.errors import InvalidInput

ZONES: Final = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # changes its clocks by half an hour
    "Asia/Beirut",  # changes them at midnight
    "Asia/Kolkata",  # does not change them
)
BEGIN: Final = datetime(2020, 1, 1, tzinfo=UTC)
MINUTES: Final = int((datetime(2030, 1, 1, tzinfo=UTC) - BEGIN) / timedelta(minutes=1))
MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)


def micros(time: datetime) -> int:
    return round(time.timestamp()) * 1_000_000


def values(field: str, least: int, most: int) -> set[int]:
    """The values of a field of these tests: ``*``, ``*/2``, or numbers with commas."""
    if field.startswith("*"):
        return set(range(least, most + 1, int(field.partition("/")[2] or 1)))
    return {int(number) for number in field.split(",")}


class Reference:
    """Which minutes an expression means, one after another."""

    def __init__(self, cron: str, zone: ZoneInfo) -> None:
        minute, hour, day, month, weekday = cron.split()
        self.minutes = values(minute, 0, 59)
        self.hours = values(hour, 0, 23)
        self.days = values(day, 1, 31)
        self.months = values(month, 1, 12)
        self.weekdays = {number % 7 for number in values(weekday, 0, 6)}
        self.needs_both = day.startswith("*") or weekday.startswith("*")
        self.zone = zone

    def is_day(self, day: date) -> bool:
        both = (day.day in self.days, day.isoweekday() % 7 in self.weekdays)
        return day.month in self.months and (all(both) if self.needs_both else any(both))

    def shows(self, wall: datetime) -> bool:
        is_time = wall.minute in self.minutes and wall.hour in self.hours
        return is_time and self.is_day(wall.date())

    def times(self, begin: datetime, end: datetime) -> list[datetime]:
        """The times from ``begin`` on and before ``end``, in UTC."""
        found: list[datetime] = []
        while begin < end:
            until = min(begin + DAY, end)
            is_plain = self.offset(begin - MINUTE) == self.offset(until)
            found += (self._on_plain_day if is_plain else self._by_minutes)(begin, until)
            begin = until
        return found

    def offset(self, time: datetime) -> timedelta:
        offset = time.astimezone(self.zone).utcoffset()
        assert offset is not None
        return offset

    def _on_plain_day(self, begin: datetime, end: datetime) -> list[datetime]:
        """Those of a time in which no clock changes."""
        offset = self.offset(begin)
        days = {(begin + offset).date(), (end + offset).date()}
        walls = [
            datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
            for day in sorted(days)
            if self.is_day(day)
            for hour in sorted(self.hours)
            for minute in sorted(self.minutes)
        ]
        return [wall - offset for wall in walls if begin <= wall - offset < end]

    def _by_minutes(self, begin: datetime, end: datetime) -> list[datetime]:
        found = []
        time = begin
        before = (time - MINUTE).astimezone(self.zone).replace(tzinfo=None)
        while time < end:
            local = time.astimezone(self.zone)
            wall = local.replace(tzinfo=None)
            is_daily = len(self.hours) < 24
            left_out = [
                before + minutes * MINUTE for minutes in range(1, round((wall - before) / MINUTE))
            ]
            if (
                (self.shows(wall) and not (is_daily and local.fold))
                or (is_daily and any(map(self.shows, left_out)))
            ):  # fmt: skip
                found.append(time)
            before, time = wall, time + MINUTE
        return found


@cache
def changes(zone: str) -> list[datetime]:
    """The hours before which the clocks of the zone change, in ten years."""

    def offset(hour: datetime) -> timedelta | None:
        return hour.astimezone(ZoneInfo(zone)).utcoffset()

    days = [BEGIN + timedelta(days=number) for number in range(MINUTES // 1_440)]
    return [
        next(hour for hour in (day + timedelta(hours=n) for n in range(25)) if offset(hour) == new)
        for (day, old), (_, new) in pairwise((day, offset(day)) for day in days)
        if old != new
    ]


def computed(cron: str, zone: str, begin: datetime, end: datetime) -> list[datetime]:
    found = []
    time = CALENDAR.next_time(cron, zone, micros(begin) - 1)
    while time is not None and time < micros(end):
        found.append(datetime.fromtimestamp(time // 1_000_000, UTC))
        time = CALENDAR.next_time(cron, zone, time)
    return found


def field(least: int, most: int) -> st.SearchStrategy[str]:
    numbers = st.lists(st.integers(least, most), min_size=1, max_size=4, unique=True)
    return st.one_of(
        numbers.map(lambda chosen: ",".join(map(str, chosen))),
        st.just("*"),
        st.integers(1, 9).map(lambda step: f"*/{step}"),
    )


near_changes: Final = st.tuples(
    field(0, 59),
    st.one_of(field(0, 4), field(22, 23), field(0, 23)),
    st.one_of(st.just("*"), field(1, 31)),
    st.one_of(st.just("*"), field(1, 12)),
    st.one_of(st.just("*"), field(0, 6)),
).map(" ".join)


@pytest.mark.parametrize("zone", ZONES)
@settings(max_examples=15, deadline=None)
@given(cron=near_changes, data=st.data())
@example(cron="30 2 * * *", data=None)
@example(cron="*/20 2 * * *", data=None)
@example(cron="15 */2 * * *", data=None)
@example(cron="0,30 * * * *", data=None)
@example(cron="0 0 * * *", data=None)
def test_times_around_clock_changes_are_those_of_the_reference(
    zone: str, cron: str, data: st.DataObject | None
) -> None:
    hours = changes(zone) or [BEGIN + timedelta(days=400)]
    chosen = hours[:2] if data is None else [data.draw(st.sampled_from(hours))]
    for hour in chosen:
        begin, end = hour - timedelta(hours=4), hour + timedelta(hours=6)
        assert computed(cron, zone, begin, end) == (
            Reference(cron, ZoneInfo(zone)).times(begin, end)
        )


@pytest.mark.slow
@pytest.mark.parametrize("cron", ["30 2 * * *", "15 */6 * * *", "0 0 13 * 5", "7 1,2,3 * * 0"])
@pytest.mark.parametrize("zone", ZONES)
def test_times_of_ten_years_are_those_of_the_reference(zone: str, cron: str) -> None:
    end = BEGIN + MINUTES * MINUTE
    assert computed(cron, zone, BEGIN, end) == Reference(cron, ZoneInfo(zone)).times(BEGIN, end)


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
def test_times_of_every_hour_of_a_year_are_those_of_the_reference(zone: str) -> None:
    begin = BEGIN + ZONES.index(zone) * 730 * DAY
    times = computed("0 * * * *", zone, begin, begin + 366 * DAY)
    reference = Reference("0 * * * *", ZoneInfo(zone))
    assert times == reference.times(begin, begin + 366 * DAY)


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        ("30 2 * * *", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"),  # left out
        ("30 2 * * *", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"),
        ("30 2 * * *", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),  # twice
        ("30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
        ("0 * * * *", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
    ],
)
def test_clock_changes_in_berlin(cron: str, after: str, expected: str) -> None:
    start = micros(datetime.fromisoformat(after))
    time = CALENDAR.next_time(cron, "Europe/Berlin", start)
    assert time is not None
    assert CALENDAR.text(time) == expected


@pytest.mark.parametrize(
    ("cron", "tz", "message"),
    [
        ("* * * *", "UTC", "five fields"),
        ("0 * * * * *", "UTC", "five fields"),
        ("61 * * * *", "UTC", "cron '61 \\* \\* \\* \\*' is invalid: bad minute"),
        ("0 0 31 2 *", "UTC", "bad day-of-month"),
        ("0 0 * * *", "Europe/Bern", "tz must be a time zone like Europe/Berlin or UTC"),
        ("0 0 * * *", "../etc/passwd", "tz must be"),
        ("0 0 * * *", "", "tz must be"),
    ],
)
def test_invalid_expressions_and_zones_are_rejected(cron: str, tz: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        CALENDAR.check(cron, tz)
