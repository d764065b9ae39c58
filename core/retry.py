"""Delays between the attempts of a step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from fleet_q.core.step import Fail, Snooze, Step

MICROS: Final = 1_000_000
"""Microseconds in a second."""

MAX_SNOOZES: Final = 1_000
"""How often a step may be put off, by default: every half a minute for eight hours."""

SNOOZED_TOO_OFTEN: Final = "Snooze: put off {} times before; FLEET_Q_MAX_SNOOZES allows no more"
"""The error of a step that was put off once more; a format string for the number."""

_LARGEST_EXPONENT: Final = 62  # 2**62 s is past every cap, and a float holds it exactly


Curve = Literal["exponential", "linear", "fibonacci"]
Strategy = Curve | Callable[[int], float]
"""How delays grow: by a curve, or by a function of the number of the failed attempt."""


def longest_delay(strategy: Strategy, attempt: int, base: float, cap: float) -> float:
    """The longest time to wait after the failed attempt number ``attempt`` (from 1), at most
    ``cap`` and at least 0, in the unit of ``base`` and ``cap``.

    - "exponential": ``base``, doubled for every earlier attempt;
    - "linear": ``attempt`` times ``base``;
    - "fibonacci": ``base`` times the number of the sequence 1, 1, 2, 3, 5 and so on;
    - a function: what it returns for ``attempt``. It may raise anything.
    """
    if strategy == "exponential":
        delay = base * 2.0 ** min(attempt - 1, _LARGEST_EXPONENT)
    elif strategy == "linear":
        delay = base * attempt
    elif strategy == "fibonacci":
        delay = _fibonacci(base, attempt, cap)
    else:
        delay = strategy(attempt)
    return min(cap, max(0.0, delay))


def _fibonacci(base: float, n: int, cap: float) -> float:
    value, following = base, base
    for _ in range(n - 1):
        if value > cap or not base:
            break
        value, following = following, value + following
    return value


def backoff(attempt: int, base: float, cap: float, chance: float) -> float:
    """Seconds to wait after the failed attempt number ``attempt`` (from 1).

    Exponential with full jitter: ``chance`` (a random number in [0, 1)) times the longest delay,
    which is ``base`` seconds, doubled for every earlier attempt, up to ``cap`` seconds. Source:
    Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    return chance * longest_delay("exponential", attempt, base, cap)


class RetryPolicy(msgspec.Struct, frozen=True):
    """Makes the outcomes of failed attempts, with the delay before the next attempt.

    ``base_delay`` and ``max_delay`` are in seconds, see :func:`longest_delay`. The delay is between
    half the longest delay and all of it ("equal jitter" of the article that :func:`backoff` names),
    so that the tries of a step span at least half the sum of the longest delays. ``chance`` returns
    a number in [0, 1) and is called once for every failed attempt, from any thread.
    ``max_snoozes`` is how often a step may be put off.
    """

    base_delay: float
    max_delay: float
    chance: Callable[[], float]
    strategy: Strategy = "exponential"
    max_snoozes: int = MAX_SNOOZES

    def snooze(self, step: Step, claim_token: str, seconds: float) -> Snooze | Fail:
        """The outcome of an attempt whose function puts its step off for so many seconds: beyond
        ``max_snoozes``, the step fails."""
        if step.snoozes < self.max_snoozes:
            return Snooze(step.step_id, claim_token, micros(seconds))
        error = SNOOZED_TOO_OFTEN.format(step.snoozes)
        return Fail(step.step_id, claim_token, error, permanent=True)

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
        step is not retried. If the strategy is a function and fails, the delay is the longest."""
        try:
            longest = longest_delay(self.strategy, attempt, self.base_delay, self.max_delay)
            delay = micros(longest * (1 + self.chance()) / 2)
        except Exception:
            delay = micros(self.max_delay)
        return Fail(step_id, claim_token, error, traceback, permanent, delay)

    def timed_out(
        self,
        step_id: str,
        claim_token: str,
        attempt: int,
        timeout: float,
        *,
        permanent: bool = False,
    ) -> Fail:
        """The outcome of an attempt whose function ran longer than ``timeout`` seconds."""
        error = f"TimeoutError: ran longer than {timeout:g} s"
        return self.fail(step_id, claim_token, attempt, error, permanent=permanent)


def micros(seconds: float) -> int:
    """Convert seconds to whole microseconds, the unit of the store."""
    return round(seconds * MICROS)
