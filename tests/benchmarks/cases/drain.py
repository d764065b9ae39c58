"""How fast 1, 2 and 4 processes run tasks that do nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from tests.benchmarks.cases.case import Figure, Measured, Measurement
from tests.benchmarks.draining import drain
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.stores import Stores
from tests.benchmarks.systems import LIMITS
from tests.benchmarks.systems.fleet_q import FleetQueueAsync, FleetQueueDefaults
from tests.benchmarks.systems.system import System

ONE: Final = Figure("drain, one pod", "/s")
ASYNC: Final = Figure("drain, async functions", "/s")
DEFAULTS: Final = Figure("drain, default settings", "/s")
TWO: Final = Figure("drain, two pods", "/s")
FOUR: Final = Figure("drain, four pods", "/s")
SMALLEST_OF_TWO: Final = Figure("smallest part of two pods", "% of equal")
SMALLEST_OF_FOUR: Final = Figure("smallest part of four pods", "% of equal")


def measurements(
    systems: Sequence[type[System]], sizes: Sizes, stores: Stores
) -> list[Measurement]:
    """Workers that start together on a filled queue."""

    def measure(figures: Sequence[Figure], pods: int, system: type[System]) -> Measured:
        return drained(figures, system, stores, sizes.drain, pods=pods, limit=sizes.rate_limit)

    def of(*figures: Figure, pods: int = 1, on: Sequence[type[System]] = systems) -> Measurement:
        return Measurement(figures, on, partial(measure, figures, pods))

    return [
        of(ONE),
        of(ASYNC, on=[FleetQueueAsync, *LIMITS]),
        of(DEFAULTS, on=[FleetQueueDefaults, *LIMITS]),
        of(TWO, SMALLEST_OF_TWO, pods=2),
        of(FOUR, SMALLEST_OF_FOUR, pods=4),
    ]


def drained(
    figures: Sequence[Figure],
    system: type[System],
    stores: Stores,
    count: int,
    *,
    pods: int = 1,
    limit: float,
) -> Measured:
    """The rate for the first of ``figures``; for the second the smallest part of a pod, in percent
    of an equal part."""
    with stores.filled(system, count) as folder:
        done = drain(system, folder, count, workers=pods, limit=limit)
    evenness = 100 * min(done.parts) * pods / sum(done.parts)
    return Measured(
        {figure: [value] for figure, value in zip(figures, (done.rate, evenness), strict=False)},
        done.faults,
    )
