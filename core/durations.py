"""Lengths of time as people write them."""

from __future__ import annotations

import re
from typing import Final

from fleet_q.core.errors import InvalidInput

UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
"""The seconds of each unit."""

FORMS: Final = "30d, 12h, 5m, 10s or a number of seconds"

_DURATION: Final = re.compile("([0-9]{1,12}(?:[.][0-9]{1,9})?)([dhms]?)")


def parse_duration(text: str) -> float:
    """The seconds of a length of time like ``30d``, ``12h``, ``5m`` or ``10s``; a bare number is
    seconds. Raises :class:`InvalidInput`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{text!r} is not a length of time; write {FORMS}")
    return float(match[1]) * UNITS.get(match[2], 1)
