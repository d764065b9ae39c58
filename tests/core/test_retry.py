"""Retry delays (exponential, full jitter, capped), and the outcomes of failed attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_q.core.retry import RetryPolicy, backoff, micros
from fleet_q.core.step import Fail

seconds = st.floats(0, 1e6)
chances = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("attempt", "delay"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 10.0), (6, 10.0)]
)
def test_longest_delay_doubles_up_to_the_cap(attempt: int, delay: float) -> None:
    assert backoff(attempt, 1.0, 10.0, 0.5) == delay / 2


@given(st.integers(1, 10**9), seconds, seconds, chances)
def test_delay_is_between_zero_and_the_cap(
    attempt: int, base: float, cap: float, chance: float
) -> None:
    assert 0 <= backoff(attempt, base, cap, chance) <= cap


@given(st.integers(1, 200), seconds, seconds, chances)
def test_delay_never_decreases_with_the_attempt_for_the_same_chance(
    attempt: int, base: float, cap: float, chance: float
) -> None:
    assert backoff(attempt, base, cap, chance) <= backoff(attempt + 1, base, cap, chance)


@given(st.integers(1, 100), st.floats(0.001, 100), chances)
def test_delay_has_full_jitter(attempt: int, base: float, chance: float) -> None:
    longest = min(1e6, base * 2.0 ** (attempt - 1))
    assert backoff(attempt, base, 1e6, chance) == pytest.approx(chance * longest)


def test_zero_base_gives_zero_delay() -> None:
    assert backoff(1_000_000, 0.0, 300.0, 0.99) == 0.0


@pytest.mark.parametrize(("duration", "whole"), [(0, 0), (1.5, 1_500_000), (0.0000006, 1)])
def test_seconds_are_rounded_to_microseconds(duration: float, whole: int) -> None:
    assert micros(duration) == whole


def test_policy_makes_fail_outcome_with_a_delay_by_attempt() -> None:
    policy = RetryPolicy(base_delay=2.0, max_delay=10.0, chance=lambda: 0.5)
    outcomes = [policy.fail("step", "token", attempt, "Boom") for attempt in (1, 2, 3, 4, 99)]
    assert [outcome.retry_delay for outcome in outcomes] == [1e6, 2e6, 4e6, 5e6, 5e6]
    assert outcomes[0] == Fail("step", "token", "Boom", None, False, 1_000_000)
    permanent = policy.fail("step", "token", 1, "Boom", "Trace", permanent=True)
    assert (permanent.permanent, permanent.traceback) == (True, "Trace")
