"""Ratios, goals and percentiles of measured values."""

from __future__ import annotations

import pytest

from tests.benchmarks.cases.case import Figure, Measured
from tests.benchmarks.cases.latency import p50, p99
from tests.benchmarks.goals import Goal, Verdict
from tests.benchmarks.results import LIMIT, Results
from tests.benchmarks.systems import OURS

RATE = Figure("work", "/s")


def results(rates: dict[str, list[float]]) -> Results:
    """Rates of every run, by system."""
    measured = Results()
    for system, values in rates.items():
        for run, value in enumerate(values):
            measured.add(system, run, Measured({RATE: [value]}))
    return measured


def test_ratio_is_the_median_of_the_ratios_of_the_runs() -> None:
    measured = results({OURS: [50, 500, 60], LIMIT: [100, 1_000, 600]})
    assert measured.ratio_to_limit(RATE) == 0.5
    assert measured.value(RATE) == 60


def test_ratio_ignores_runs_in_which_one_system_was_not_measured() -> None:
    measured = results({OURS: [50, 10], LIMIT: [100]})
    assert measured.ratio_to_limit(RATE) == 0.5
    assert results({OURS: [50]}).ratio_to_limit(RATE) is None


def test_peer_with_a_fault_is_not_the_best_peer() -> None:
    measured = results({OURS: [30], "huey": [10], "litequeue": [15]})
    assert measured.ratio_to_best_peer(RATE) == 2
    measured.add_faults([RATE], "litequeue", ["called 3 tasks more than once"])
    assert measured.ratio_to_best_peer(RATE) == 3


@pytest.mark.parametrize(
    ("value", "at_least", "reached"),
    [
        (2, True, True),
        (1.9, True, False),
        (2, False, True),
        (2.1, False, False),
        (None, True, None),
    ],
)
def test_goal_is_reached_at_its_bound(
    value: float | None, at_least: bool, reached: bool | None
) -> None:
    goal = Goal("work", lambda _: value, 2, at_least, "ms")
    assert Verdict(goal, value).reached is reached


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (p50(values), p99(values)) == (50, 99)
    assert (p50([7]), p99([7, 8])) == (7, 8)
