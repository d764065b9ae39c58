"""How long to wait before the next try."""

from __future__ import annotations

from typing import Final

MICROS: Final = 1_000_000
"""Microseconds in a second."""

_LARGEST_EXPONENT: Final = 62  # 2**62 s is past every cap, and a float holds it exactly


def backoff(attempt: int, base: float, cap: float, chance: float) -> float:
    """Seconds to wait after the failed attempt number ``attempt`` (from 1).

    Exponential with full jitter: ``chance``, a number in [0, 1) that the caller draws, times
    ``base`` doubled for every earlier attempt, at most ``cap``. Source of the rule: Marc Brooker,
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return chance * min(cap, base * 2.0 ** min(attempt - 1, _LARGEST_EXPONENT))


def micros(seconds: float) -> int:
    """A duration as the store counts it."""
    return round(seconds * MICROS)
