"""How fast tasks are stored, with one or a hundred in a transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from tests.benchmarks.cases.case import Figure, Measured, Measurement
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.stores import BATCH, Stores
from tests.benchmarks.systems.system import System

ONE_BY_ONE: Final = Figure("submit one by one", "/s")
IN_BATCHES: Final = Figure(f"submit in batches of {BATCH}", "/s")


def measurements(
    systems: Sequence[type[System]], sizes: Sizes, stores: Stores
) -> list[Measurement]:
    """One process submits; no process consumes."""
    batching = [system for system in systems if system.has_batches]
    return [
        Measurement(
            [ONE_BY_ONE],
            systems,
            lambda system: one_by_one(system, stores, sizes.one_by_one, sizes.rate_limit),
        ),
        Measurement(
            [IN_BATCHES],
            batching,
            lambda system: in_batches(system, stores, sizes.in_batches, sizes.rate_limit),
        ),
    ]


def one_by_one(system: type[System], stores: Stores, count: int, limit: float) -> Measured:
    """Submit each task in its own transaction."""

    def submit(queue: System, numbers: range) -> None:
        for number in numbers:
            queue.submit(number)

    return _measured(ONE_BY_ONE, system, stores, submit, count, limit)


def in_batches(system: type[System], stores: Stores, count: int, limit: float) -> Measured:
    """Submit a hundred tasks in each transaction."""
    return _measured(IN_BATCHES, system, stores, system.submit_batch, count, limit)


def _measured(
    figure: Figure,
    system: type[System],
    stores: Stores,
    submit: Callable[[System, range], None],
    count: int,
    limit: float,
) -> Measured:
    with stores.empty() as folder:
        queue = system(folder)
        done = 0
        began = time.perf_counter()
        while done < count and time.perf_counter() - began < limit:
            submit(queue, range(done, done + BATCH))
            done += BATCH
        seconds = time.perf_counter() - began
        waiting = queue.waiting()
        queue.close()
    faults = [] if waiting == done else [f"submitted {done} tasks and has {waiting}"]
    return Measured({figure: [done / seconds]}, faults)
