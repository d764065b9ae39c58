"""Runs the measurements. Each run measures all systems in turn, so that other load on the machine
affects all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tests.benchmarks.cases.case import Measurement
from tests.benchmarks.processes import BenchmarkError
from tests.benchmarks.results import Results
from tests.benchmarks.stores import TooSlow
from tests.benchmarks.systems.system import System

Step = tuple[int, Measurement, type[System]]


def steps(measurements: Sequence[Measurement], runs: int) -> list[Step]:
    """Every run of every measurement on every system, in order."""

    def in_order() -> Iterator[Step]:
        for run in range(runs):
            for measurement in measurements:
                if run and measurement.once:
                    continue
                for system in measurement.systems:
                    yield run, measurement, system

    return list(in_order())


def measure(todo: Sequence[Step], before_each: Callable[[Step], None]) -> Results:
    """Run all steps. An error is a fault in the results; a measurement that is too slow is not
    repeated in later runs."""
    results = Results()
    skipped: set[tuple[int, str]] = set()
    for step in todo:
        run, measurement, system = step
        before_each(step)
        if (id(measurement), system.name) in skipped:
            continue
        try:
            results.add(system.name, run, measurement.measure(system))
        except TooSlow as reason:
            skipped.add((id(measurement), system.name))
            results.add_faults(measurement.figures, system.name, [f"not measured: {reason}"])
        except BenchmarkError as error:
            results.add_faults(measurement.figures, system.name, [str(error)])
    return results
