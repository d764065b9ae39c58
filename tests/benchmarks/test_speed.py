"""Speed on SQLite, as ratios to the limit measured in the same run.

Machines are noisy, so every figure is a median of several runs, and only ratios are judged.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import pytest

from tests.benchmarks import measure

RUNS = 5

CASES: list[tuple[str, Callable[[], dict[str, float]], float]] = [
    ("submit one by one", lambda: measure.submit_one_by_one(3_000), 0.3),
    ("submit in batches of 100", lambda: measure.submit_in_batches(20_000), 0.25),
    ("drain, plain functions", lambda: measure.drain(10_000), 0.15),
    ("drain, async functions", lambda: measure.drain(10_000, task_type="async_noop"), 0.1),
]


@pytest.mark.parametrize(("name", "run", "goal"), CASES, ids=[case[0] for case in CASES])
def test_ratio_to_bare_sqlite3(name: str, run: Callable[[], dict[str, float]], goal: float) -> None:
    rates = [run() for _ in range(RUNS)]
    limit, fleet = (median(rate[who] for rate in rates) for who in ("limit", "fleet-q"))
    ratio = median(rate["fleet-q"] / rate["limit"] for rate in rates)
    print(f"\n{name}: {fleet:,.0f}/s of {limit:,.0f}/s, ratio {ratio:.2f}, goal {goal}")
    assert ratio >= goal


def test_draining_does_not_slow_down_with_the_backlog() -> None:
    count = 1_000
    rates = {
        backlog: median(
            measure.drain(count, backlog=backlog - count)["fleet-q"] for _ in range(RUNS)
        )
        for backlog in (1_000, 10_000, 100_000)
    }
    print()
    for backlog, rate in rates.items():
        print(f"drain {count:,} of {backlog:,} pending: {rate:,.0f}/s")
    assert rates[100_000] >= 0.8 * rates[1_000]
