"""The clock of a tested app: it stands still until a test moves it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from fleet_q.core.durations import parse_duration
from fleet_q.core.errors import InvalidInput
from fleet_q.core.retry import MICROS
from fleet_q.core.submission import check_seconds

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Moment = datetime | str
"""A time, or its text in ISO 8601; in UTC unless it says otherwise."""

Duration = float | str | timedelta
"""Seconds, a text such as ``90m``, or a ``timedelta``."""


class Clock:
    """Virtual time. ``now`` is in microseconds since the Unix epoch; by default it begins at the
    present second."""

    def __init__(self, at: Moment | None = None) -> None:
        self.now = int(time.time()) * MICROS if at is None else micros_of(at)
        self._began = self.now

    def store_time(self) -> int:
        """The time of the store."""
        return self.now

    def seconds(self) -> float:
        """The time of the pod: seconds since the clock began."""
        return (self.now - self._began) / MICROS

    def at(self, seconds: float) -> int:
        """The time of the store at a time of the pod, which may be infinite."""
        return self._began + int(min(seconds, 1e12) * MICROS) + 1

    @property
    def moment(self) -> datetime:
        """The present time, in UTC."""
        return _EPOCH + self.now * _MICROSECOND


def micros_of(moment: Moment) -> int:
    """Microseconds since the Unix epoch. Raises :class:`InvalidInput` for an unreadable text."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise InvalidInput(f"{moment!r} is no time; write 2026-11-28T14:00:00Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def seconds_of(duration: Duration) -> float:
    """The seconds of ``duration``. Raises :class:`InvalidInput` if it is negative or unreadable."""
    if isinstance(duration, str):
        return parse_duration(duration)
    if isinstance(duration, timedelta):
        duration = duration.total_seconds()
    check_seconds(duration, "the time to advance")
    return float(duration)
