"""The latency of a single task on an idle machine, and the CPU time of a worker that waits."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.benchmarks.cases.case import Figure, Measured, Measurement
from tests.benchmarks.processes import BenchmarkError, Workers, wait_until
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.stores import Stores
from tests.benchmarks.systems import LIMITS, OURS
from tests.benchmarks.systems.fleet_q import FleetQueueDefaults
from tests.benchmarks.systems.system import System
from tests.benchmarks.usage import Usage, can_be_seen

SETTLE: Final = 1.0
"""Seconds between the first task of a worker and the measurement of its idle CPU time."""

PAUSE: Final = (0.3, 1.0)
"""Seconds between two tasks: random, so that tasks arrive at different phases of a poll."""

CHECK_INTERVAL: Final = 0.001
"""Seconds between two checks whether the task is done: the accuracy of the measurement."""

LONGEST: Final = 30.0
"""Seconds after which a task counts as failed."""


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that ``percent`` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def p50(values: Sequence[float]) -> float:
    """The median."""
    return percentile(values, 50)


def p99(values: Sequence[float]) -> float:
    """The value that one in a hundred exceeds."""
    return percentile(values, 99)


P50: Final = Figure("latency of one task, p50", "ms", p50)
P99: Final = Figure("latency of one task, p99", "ms", p99)
IDLE_CPU: Final = Figure("CPU of an idle pod", "% of a core")


def measurements(
    systems: Sequence[type[System]], sizes: Sizes, stores: Stores
) -> list[Measurement]:
    """One worker with default settings. The limits are left out: their idle workers only poll."""
    waiting = [FleetQueueDefaults if s.name == OURS else s for s in systems if s not in LIMITS]

    def measure(system: type[System]) -> Measured:
        with stores.empty() as folder:
            return idle(system, folder, sizes.latency_samples, sizes.idle)

    figures = [P50, P99, IDLE_CPU] if can_be_seen() else [P50, P99]
    return [Measurement(figures, waiting, measure)]


def idle(system: type[System], folder: Path, samples: int, seconds: float) -> Measured:
    """Leave a worker alone for ``seconds``, then give it ``samples`` tasks one at a time."""
    queue = system(folder)
    try:
        with Workers([system.worker(folder, 0)], folder, samples + 1) as workers:
            workers.go()
            _latency(queue, 0, workers)  # wait until it runs
            time.sleep(SETTLE)
            cpu = {IDLE_CPU: [_cpu_percent(workers.pids[0], seconds)]} if can_be_seen() else {}
            latencies = []
            for number in range(1, samples + 1):
                time.sleep(random.uniform(*PAUSE))
                latencies.append(_latency(queue, number, workers))
            workers.stop()
            faults = queue.faults(workers.calls)
    finally:
        queue.close()
    in_ms = [1_000 * latency for latency in latencies]
    return Measured({P50: in_ms, P99: in_ms, **cpu}, faults)


def _latency(queue: System, number: int, workers: Workers) -> float:
    """Seconds from before the submission until a client sees that the task is completed."""
    began = time.perf_counter()
    task = queue.submit(number)
    if not wait_until(lambda: queue.is_completed(task), LONGEST, workers, pause=CHECK_INTERVAL):
        raise BenchmarkError(f"a task was not done after {LONGEST:g} s; {workers.faults()}")
    return time.perf_counter() - began


def _cpu_percent(pid: int, seconds: float) -> float:
    usage = Usage(pid)
    before, began = usage.cpu_seconds, time.perf_counter()
    time.sleep(seconds)
    return 100 * (usage.cpu_seconds - before) / (time.perf_counter() - began)
