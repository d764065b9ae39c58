"""Times as people write them: how long ago, or a date."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fleet_q.core.durations import UNITS, parse_duration
from fleet_q.core.errors import InvalidInput


def parse_moment(text: str) -> datetime | timedelta:
    """An age like ``2h``, or a time in ISO 8601 like ``2026-11-28T14:00:00Z``, which is in UTC
    unless it says otherwise. Raises :class:`InvalidInput`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return timedelta(seconds=parse_duration(text))
    except (InvalidInput, OverflowError):
        raise InvalidInput(
            f"{text!r} is no time; write 2h or 3d for how long ago, or 2026-11-28T14:00Z"
        ) from None


def age(seconds: float) -> str:
    """Seconds in the largest unit of which there are at least two: ``90s``, ``12h``, ``30d``."""
    for unit, length in UNITS.items():
        if seconds >= 2 * length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(0, seconds):.0f}s"


def age_since(timestamp: str, now: datetime) -> str:
    """The :func:`age` at ``now`` of a timestamp of a view, which is in UTC."""
    return age((now - datetime.fromisoformat(timestamp).replace(tzinfo=UTC)).total_seconds())
