"""The drain rate while many more tasks are waiting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from tests.benchmarks.cases.case import Figure, Measured, Measurement
from tests.benchmarks.draining import drain
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.stores import Stores
from tests.benchmarks.systems.system import System


def figure(backlog: int) -> Figure:
    """The drain rate of the first tasks of a queue with ``backlog`` tasks."""
    return Figure(f"drain, {backlog:,} waiting", "/s")


def measurements(
    systems: Sequence[type[System]], sizes: Sizes, stores: Stores
) -> list[Measurement]:
    """The first tasks of queues of several lengths."""

    def measure(backlog: int, system: type[System]) -> Measured:
        with stores.filled(system, backlog) as folder:
            first, limit = min(backlog, sizes.backlog_drain), sizes.rate_limit
            drained = drain(system, folder, backlog, first=first, limit=limit)
        return Measured({figure(backlog): [drained.rate]}, drained.faults)

    return [
        Measurement([figure(backlog)], systems, partial(measure, backlog))
        for backlog in sizes.backlogs
    ]
