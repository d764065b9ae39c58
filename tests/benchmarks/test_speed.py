"""Speed on SQLite, as ratios to the limit measured in the same run.

The machine may be busy, so every figure is the median of several alternating runs, only ratios are
checked, and each bound is far below what an idle machine reaches. ``python -m tests.benchmarks``
measures more and states the goals; these bounds only catch large losses.
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
from tests.benchmarks.usage import CpuWatch, can_be_seen
from tests.waiting import LIMIT

RUNS = 5

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


@pytest.mark.skipif(not can_be_seen(), reason="psutil is not installed")
def test_drain_takes_no_more_processor_time_with_a_long_backlog(stores: Stores) -> None:
    """Compares processor time, since other load may slow one drain more than the other."""
    count, short, long = 20_000, 20_000, 100_000
    ratios = []
    for _ in range(RUNS):
        seconds = {}
        for backlog in (short, long):
            watch = CpuWatch()
            with stores.filled(FleetQueue, backlog) as folder:
                drained = drain_first(
                    FleetQueue, folder, backlog, first=count, limit=LIMIT, on_check=watch
                )
            assert not drained.faults
            seconds[backlog] = watch.seconds_per_call
        ratios.append(seconds[short] / seconds[long])
        print(f"\n{ratios[-1]:.2f} of the time with {short:,} waiting instead of {long:,}")
    assert median(ratios) >= 0.8


def _rate(measured: Measured) -> float:
    assert not measured.faults
    [[rate]] = measured.values.values()
    return rate
