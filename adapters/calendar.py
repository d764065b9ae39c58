"""The times of cron expressions in the zones of the IANA database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from fleet_q.core.errors import InvalidInput

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MINUTE: Final = timedelta(minutes=1)
_LONGEST_SHIFT: Final = timedelta(days=2)
"""More than any zone has ever moved its clocks: Samoa left out a day in 2011."""
_LONGEST_REPEAT: Final = timedelta(hours=3)
"""More than any zone sets its clocks back."""
_EVERY_HOUR: Final = set(range(24))


class CronCalendar:
    """A :class:`fleet_q.core.schedules.Calendar`, by cronsim and the system's time zones.

    An expression that names hours has times of day. One that a clock change leaves out is at the
    end of the gap, and one that comes twice is the first of the two. An expression for every hour
    (``*/15 * * * *``) has its minutes in all hours that pass, also in one that comes twice.
    """

    def check(self, cron: str, tz: str) -> None:
        """See :class:`fleet_q.core.schedules.Calendar`."""
        _zone(tz)
        if len(cron.split()) != 5:
            raise InvalidInput(
                f"cron must have five fields: minute, hour, day, month and day of the week,"
                f" not {cron!r}"
            )
        try:
            has_times = any(True for _ in CronSim(cron, datetime(2000, 1, 1)))
        except CronSimError as error:
            raise InvalidInput(f"cron {cron!r} is invalid: {str(error).lower()}") from None
        if not has_times:
            raise InvalidInput(f"cron {cron!r} never comes")

    def next_time(self, cron: str, tz: str, after: int) -> int | None:
        """See :class:`fleet_q.core.schedules.Calendar`."""
        zone = _zone(tz)
        is_hourly = _is_hourly(cron)
        found: datetime | None = None
        try:
            start = _EPOCH + after * _MICROSECOND
            shown_now = start.astimezone(zone).replace(tzinfo=None)
            may_repeat = is_hourly and _may_repeat(start, zone)
            for shown in CronSim(cron, shown_now - _LONGEST_REPEAT if may_repeat else shown_now):
                times = _times_of(shown, zone) if is_hourly else [_time_of(shown, zone)]
                later = [time for time in times if time > start]
                if later:
                    found = min(found or later[0], later[0])
                if len(later) == len(times) > 0:  # what the clocks show later comes later
                    break
        except OverflowError:  # after the year 9999
            return None
        return None if found is None else (found - _EPOCH) // _MICROSECOND

    def text(self, time: int) -> str:
        """See :class:`fleet_q.core.schedules.Calendar`."""
        return (_EPOCH + time * _MICROSECOND).isoformat().replace("+00:00", "Z")


CALENDAR: Final = CronCalendar()


def _times_of(shown: datetime, zone: ZoneInfo) -> list[datetime]:
    """When the clocks of ``zone`` show this: once, twice, or never."""
    times = {shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(time for time in times if time.astimezone(zone).replace(tzinfo=None) == shown)


def _may_repeat(time: datetime, zone: ZoneInfo) -> bool:
    """Whether the clocks of ``zone`` change around ``time``, so that they may show it twice."""
    before, after = time - _LONGEST_REPEAT, time + _LONGEST_REPEAT
    return before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset()


def _time_of(shown: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks of ``zone`` show this for the first time, or else the end of the gap that
    leaves it out."""
    times = _times_of(shown, zone)
    if times:
        return times[0]
    time = shown.replace(tzinfo=zone, fold=0).astimezone(UTC)
    # With the offset before the gap, it would be so long after the gap's end as it is after its
    # begin. Look for the first minute with the new offset.
    begin, end = time - _LONGEST_SHIFT, time
    offset = time.astimezone(zone).utcoffset()
    while end - begin > _MINUTE / 60:
        middle = begin + (end - begin) / 2
        if middle.astimezone(zone).utcoffset() == offset:
            end = middle
        else:
            begin = middle
    return end.replace(second=0, microsecond=0) if end.second < 30 else _next_minute(end)


def _next_minute(time: datetime) -> datetime:
    return time.replace(second=0, microsecond=0) + _MINUTE


@lru_cache(256)
def _is_hourly(cron: str) -> bool:
    return CronSim(cron, datetime(2000, 1, 1)).hours == _EVERY_HOUR


def _zone(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, OSError):
        raise InvalidInput(
            f"tz must be a time zone like Europe/Berlin or UTC, not {tz!r}"
        ) from None
