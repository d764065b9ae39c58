"""The memory of a worker during a long drain, and its growth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.benchmarks.cases.case import Figure, Measured, Measurement
from tests.benchmarks.draining import drain
from tests.benchmarks.processes import Workers
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.stores import Stores
from tests.benchmarks.systems import OURS
from tests.benchmarks.systems.system import System
from tests.benchmarks.usage import Usage, can_be_seen

DRAIN_LIMIT: Final = 900.0
"""Seconds for FLEET-Q to drain everything, since its memory at the end is measured."""


def peak(count: int) -> Figure:
    """The peak memory of a pod that drains ``count`` tasks."""
    return Figure(f"memory, {count:,} drained", "MB")


def growth(count: int) -> Figure:
    """The ratio of its peaks in the last and the second fifth of the drain. In the first fifth it
    fills its caches."""
    return Figure(f"its growth, {count:,} drained", "×")


class _Watch:
    """Samples a worker's memory and progress."""

    def __init__(self) -> None:
        self.samples: list[tuple[int, float]] = []
        self._usage: Usage | None = None

    def __call__(self, workers: Workers) -> None:
        if self._usage is None:
            self._usage = Usage(workers.pids[0])
        if not workers.ended():
            self.samples.append((workers.called, self._usage.memory))

    @property
    def peak(self) -> float:
        return max(memory for _, memory in self.samples)

    @property
    def growth(self) -> float:
        """With fifths of the progress that was made, also if the drain was cut off."""
        end = self.samples[-1][0]
        fifths = [(called * 5 // (end + 1), memory) for called, memory in self.samples]
        second, last = (max(m for at, m in fifths if at == fifth) for fifth in (1, 4))
        return last / second


def measurements(
    systems: Sequence[type[System]], sizes: Sizes, stores: Stores
) -> list[Measurement]:
    """One drain of the largest queue by each system; other systems are stopped after a limit."""

    def measure(system: type[System]) -> Measured:
        watch = _Watch()
        limit = DRAIN_LIMIT if system.name == OURS else 2 * sizes.rate_limit
        with stores.filled(system, sizes.memory) as folder:
            drained = drain(system, folder, sizes.memory, limit=limit, on_check=watch)
        values = dict(zip(figures, ([watch.peak], [watch.growth]), strict=True))
        return Measured(values, drained.faults)

    figures = [peak(sizes.memory), growth(sizes.memory)]
    return [Measurement(figures, systems, measure, once=True)] if can_be_seen() else []
