"""Rates of token buckets, such as 100 steps a minute."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from fleet_q.core.errors import InvalidInput

MICROS: Final = 1_000_000
"""Microseconds in a second."""

MOST_TOKENS: Final = 1_000_000
LONGEST_PERIOD: Final = 31 * 86_400 * MICROS
"""The highest rate is so many steps in a period, which is at most so many microseconds long: the
bookkeeping of a bucket fits into 64 bits."""

_RATE: Final = re.compile(
    r"(?P<count>[0-9]{1,7})\s*/\s*(?P<number>[0-9]{0,7})\s*"
    r"(?P<unit>s|sec|second|m|min|minute|h|hour|d|day)s?"
)
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_NAMES: Final = {1: "s", 60: "min", 3_600: "h", 86_400: "day"}


class Rate(msgspec.Struct, frozen=True):
    """Up to ``count`` steps at once, and on average ``count`` in ``period`` microseconds."""

    count: int
    period: int

    def __str__(self) -> str:
        seconds = self.period // MICROS
        return f"{self.count}/{_NAMES.get(seconds, f'{seconds}s')}"


def parse_rate(text: str) -> Rate:
    """The rate that a text such as ``100/min``, ``5/s``, ``1000/h`` or ``10/30s`` stands for.

    Raises :class:`InvalidInput`.
    """
    match = _RATE.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    if match is None:
        raise InvalidInput(f"a rate is written like 100/min, 5/s, 1000/h or 10/30s, not {text!r}")
    count = int(match["count"])
    period = int(match["number"] or 1) * _UNITS[match["unit"][0]] * MICROS
    if not 1 <= count <= MOST_TOKENS:
        raise InvalidInput(f"a rate allows 1 to {MOST_TOKENS} steps, not {count}")
    if not MICROS <= period <= LONGEST_PERIOD:
        raise InvalidInput(f"the period of a rate must be 1 second to 31 days, not {text!r}")
    return Rate(count, period)
