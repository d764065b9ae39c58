"""Delays between the attempts of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fleet_q.core.step import Fail

MICROS: Final = 1_000_000
"""Microseconds in a second."""

_LARGEST_EXPONENT: Final = 62  # 2**62 s is past every cap, and a float holds it exactly


def backoff(attempt: int, base: float, cap: float, chance: float) -> float:
    """Seconds to wait after the failed attempt number ``attempt`` (from 1).

    Exponential with full jitter: ``chance`` (a random number in [0, 1)) times the longest delay,
    which is ``base`` seconds, doubled for every earlier attempt, up to ``cap`` seconds. Source:
    Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return chance * min(cap, base * 2.0 ** min(attempt - 1, _LARGEST_EXPONENT))


class RetryPolicy(msgspec.Struct, frozen=True):
    """Makes the outcomes of failed attempts, with the delay before the next attempt.

    ``base_delay`` and ``max_delay`` are in seconds, see :func:`backoff`; ``chance`` returns a
    number in [0, 1) and is called once for every failed attempt, from any thread.
    """

    base_delay: float
    max_delay: float
    chance: Callable[[], float]

    def fail(
        self,
        step_id: str,
        claim_token: str,
        attempt: int,
        error: str,
        traceback: str | None = None,
        *,
        permanent: bool = False,
    ) -> Fail:
        """The outcome of the failed attempt number ``attempt`` (from 1). If ``permanent``, the
        step is not retried."""
        delay = backoff(attempt, self.base_delay, self.max_delay, self.chance())
        return Fail(step_id, claim_token, error, traceback, permanent, micros(delay))


def micros(seconds: float) -> int:
    """Convert seconds to whole microseconds, the unit of the store."""
    return round(seconds * MICROS)
