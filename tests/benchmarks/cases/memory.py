"""How much memory a worker needs for a long drain, and whether that grows."""

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
"""Seconds for FLEET-Q to drain everything: its memory at the end is what is asked for."""


def peak(count: int) -> Figure:
    """The most that a pod used at any time while it drained so many."""
    return Figure(f"memory, {count:,} drained", "MB")


def growth(count: int) -> Figure:
    """Its peak in the last fifth of the drain over that in the second: in the first it fills its
    caches."""
    return Figure(f"its growth, {count:,} drained", "×")


class _Watch:
    """Looks at a worker's memory, and at how far it has come."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []
        self._usage: Usage | None = None

    def __call__(self, workers: Workers) -> None:
        if self._usage is None:
            self._usage = Usage(workers.pids[0])
        if not workers.ended():
            self.seen.append((workers.called, self._usage.memory))

    @property
    def peak(self) -> float:
        return max(memory for _, memory in self.seen)

    @property
    def growth(self) -> float:
        """By the progress that was made, whatever it was."""
        end = self.seen[-1][0]
        fifths = [(called * 5 // (end + 1), memory) for called, memory in self.seen]
        second, last = (max(m for at, m in fifths if at == fifth) for fifth in (1, 4))
        return last / second


def measurements(
    systems: Sequence[type[System]], sizes: Sizes, stores: Stores
) -> list[Measurement]:
    """One drain of the largest queue each; the peers' is cut off."""

    def measure(system: type[System]) -> Measured:
        watch = _Watch()
        limit = DRAIN_LIMIT if system.name == OURS else 2 * sizes.rate_limit
        with stores.filled(system, sizes.memory) as folder:
            found = drain(system, folder, sizes.memory, limit=limit, on_check=watch)
        values = dict(zip(figures, ([watch.peak], [watch.growth]), strict=True))
        return Measured(values, found.faults)

    figures = [peak(sizes.memory), growth(sizes.memory)]
    return [Measurement(figures, systems, measure, once=True)] if can_be_seen() else []
