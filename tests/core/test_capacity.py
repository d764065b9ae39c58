"""How many steps a pod runs at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_q.core.capacity import slots


@pytest.mark.parametrize(
    ("parallelism", "threshold", "expected"),
    [(8, 0.8, 6), (10, 0.7, 7), (10, 0.1, 1), (1, 0.8, 1), (1, 0.01, 1), (8, 1.0, 8)],
)
def test_slots_are_a_share_of_the_parallelism_rounded_down(
    parallelism: int, threshold: float, expected: int
) -> None:
    assert slots(parallelism, threshold) == expected


@given(st.integers(1, 10_000), st.integers(1, 100))
def test_percentage_of_the_parallelism_is_exact_despite_binary_fractions(
    parallelism: int, percent: int
) -> None:
    assert slots(parallelism, percent / 100) == max(1, parallelism * percent // 100)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_min=True))
def test_slots_are_between_one_and_the_parallelism(parallelism: int, threshold: float) -> None:
    assert 1 <= slots(parallelism, threshold) <= parallelism
