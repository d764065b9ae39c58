"""The wait before the next try: exponential, full jitter, capped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_q.core.retry import backoff, micros

seconds = st.floats(0, 1e6)
chances = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("attempt", "wait"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 10.0), (6, 10.0)]
)
def test_the_longest_wait_doubles_up_to_the_cap(attempt: int, wait: float) -> None:
    assert backoff(attempt, 1.0, 10.0, 0.5) == wait / 2


@given(st.integers(1, 10**9), seconds, seconds, chances)
def test_a_wait_is_between_nothing_and_the_cap(
    attempt: int, base: float, cap: float, chance: float
) -> None:
    assert 0 <= backoff(attempt, base, cap, chance) <= cap


@given(st.integers(1, 200), seconds, seconds, chances)
def test_a_later_attempt_never_waits_less_by_the_same_chance(
    attempt: int, base: float, cap: float, chance: float
) -> None:
    assert backoff(attempt, base, cap, chance) <= backoff(attempt + 1, base, cap, chance)


@given(st.integers(1, 100), st.floats(0.001, 100), chances)
def test_jitter_is_full(attempt: int, base: float, chance: float) -> None:
    longest = min(1e6, base * 2.0 ** (attempt - 1))
    assert backoff(attempt, base, 1e6, chance) == pytest.approx(chance * longest)


def test_without_a_base_there_is_no_wait() -> None:
    assert backoff(1_000_000, 0.0, 300.0, 0.99) == 0.0


@pytest.mark.parametrize(("duration", "whole"), [(0, 0), (1.5, 1_500_000), (0.0000006, 1)])
def test_a_duration_in_the_stores_unit(duration: float, whole: int) -> None:
    assert micros(duration) == whole
