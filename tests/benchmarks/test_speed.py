"""Speed on SQLite, as ratios to the limit measured in the same run.

Machines are noisy, so every figure is a median of several runs, and only ratios are judged. What
``python -m tests.benchmarks`` measures beside it, and what is aimed at, is more; this is what must
not be lost.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from tests.benchmarks.cases import drain, submit
from tests.benchmarks.cases.case import Measured
from tests.benchmarks.draining import drain as drain_first
from tests.benchmarks.stores import Stores
from tests.benchmarks.systems.bare import BareWithEvents
from tests.benchmarks.systems.fleet_q import FleetQueue, FleetQueueAsync
from tests.benchmarks.systems.system import System

RUNS = 5
LIMIT = 60.0
"""Seconds for one measurement; none should need them."""

Measure = Callable[[type[System], Stores], Measured]


def _one_by_one(system: type[System], stores: Stores) -> Measured:
    return submit.one_by_one(system, stores, 3_000, LIMIT)


def _in_batches(system: type[System], stores: Stores) -> Measured:
    return submit.in_batches(system, stores, 20_000, LIMIT)


def _drain(system: type[System], stores: Stores) -> Measured:
    return drain.drained([drain.ONE], system, stores, 10_000, limit=LIMIT)


CASES: list[tuple[str, type[System], Measure, float]] = [
    ("submit one by one", FleetQueue, _one_by_one, 0.3),
    ("submit in batches of 100", FleetQueue, _in_batches, 0.25),
    ("drain, plain functions", FleetQueue, _drain, 0.15),
    ("drain, async functions", FleetQueueAsync, _drain, 0.1),
]


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(tmp_path, LIMIT)


@pytest.mark.parametrize(("name", "system", "measure", "goal"), CASES, ids=[c[0] for c in CASES])
def test_ratio_to_bare_sqlite3(
    stores: Stores, name: str, system: type[System], measure: Measure, goal: float
) -> None:
    rates = [
        (_rate(measure(system, stores)), _rate(measure(BareWithEvents, stores)))
        for _ in range(RUNS)
    ]
    ours, limit = (median(column) for column in zip(*rates, strict=True))
    ratio = median(ours / limit for ours, limit in rates)
    print(f"\n{name}: {ours:,.0f}/s of {limit:,.0f}/s, ratio {ratio:.2f}, goal {goal}")
    assert ratio >= goal


def test_draining_does_not_slow_down_with_the_backlog(stores: Stores) -> None:
    count = 1_000
    rates: dict[int, list[float]] = {1_000: [], 10_000: [], 100_000: []}
    for _ in range(RUNS):
        for backlog, found in rates.items():
            with stores.filled(FleetQueue, backlog) as folder:
                drained = drain_first(FleetQueue, folder, backlog, first=count, limit=LIMIT)
            assert not drained.faults
            found.append(drained.rate)
    print()
    for backlog, found in rates.items():
        print(f"drain {count:,} of {backlog:,} pending: {median(found):,.0f}/s")
    assert median(rates[100_000]) >= 0.8 * median(rates[1_000])


def _rate(measured: Measured) -> float:
    assert not measured.faults
    [[rate]] = measured.values.values()
    return rate
