"""What the report makes of the values."""

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
    found = Results()
    for system, values in rates.items():
        for run, value in enumerate(values):
            found.add(system, run, Measured({RATE: [value]}))
    return found


def test_a_ratio_is_taken_run_by_run() -> None:
    found = results({OURS: [50, 500, 60], LIMIT: [100, 1_000, 600]})
    assert found.ratio_to_limit(RATE) == 0.5
    assert found.value(RATE) == 60


def test_runs_that_only_one_of_the_two_has_give_no_ratio() -> None:
    found = results({OURS: [50, 10], LIMIT: [100]})
    assert found.ratio_to_limit(RATE) == 0.5
    assert results({OURS: [50]}).ratio_to_limit(RATE) is None


def test_a_peer_that_did_it_wrong_is_not_the_best() -> None:
    found = results({OURS: [30], "huey": [10], "litequeue": [15]})
    assert found.ratio_to_best_peer(RATE) == 2
    found.add_faults([RATE], "litequeue", ["called 3 tasks more than once"])
    assert found.ratio_to_best_peer(RATE) == 3


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
def test_a_goal_is_reached_at_its_bound(
    value: float | None, at_least: bool, reached: bool | None
) -> None:
    goal = Goal("work", lambda _: value, 2, at_least, "ms")
    assert Verdict(goal, value).reached is reached


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert (p50(values), p99(values)) == (50, 99)
    assert (p50([7]), p99([7, 8])) == (7, 8)
