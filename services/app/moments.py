"""Times as people write them: how long ago, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from fleet_q.core.errors import InvalidInput

_SECONDS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_age(text: str) -> float:
    """The seconds of an age like ``30d``, ``12h``, ``90m`` or ``45s``. Raises
    :class:`InvalidInput`."""
    match = re.fullmatch("([0-9]{1,9}(?:[.][0-9]{1,9})?)([dhms])", text)
    if match is None:
        raise InvalidInput(f"{text!r} is not a length of time; write 30d, 12h, 90m or 45s")
    return float(match[1]) * _SECONDS[match[2]]


def parse_moment(text: str) -> datetime | timedelta:
    """An age like ``2h``, or a time like ``2026-11-28 14:00``, which is in UTC unless it says
    otherwise. Raises :class:`InvalidInput`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    try:
        return timedelta(seconds=parse_age(text))
    except (InvalidInput, OverflowError):
        raise InvalidInput(
            f"{text!r} is no time; write 2h or 3d for how long ago, or 2026-11-28 14:00 in UTC"
        ) from None


def age(seconds: float) -> str:
    """Seconds in the largest unit of which there are at least two: ``90s``, ``12h``, ``30d``."""
    for unit, length in _SECONDS.items():
        if seconds >= 2 * length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(0, seconds):.0f}s"


def age_since(timestamp: str, now: datetime) -> str:
    """The :func:`age` at ``now`` of a timestamp of a view, which is in UTC."""
    return age((now - datetime.fromisoformat(timestamp).replace(tzinfo=UTC)).total_seconds())
