"""What is measured, on FLEET-Q and on the limit alike: steps a second."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fleet_q.services import FleetQ, Settings
from tests.benchmarks.bare import Bare

BATCH = 100
PARALLELISM = 125
"""Steps that the measured pod runs at once; at the default threshold it claims 100, the limit's
batch."""


def submit_one_by_one(count: int) -> dict[str, float]:
    """Every step is a transaction."""
    with _bare() as bare, _fleet() as fleet:
        return {
            "limit": _rate(count, lambda: bare.submit(count, 1)),
            "fleet-q": _rate(
                count,
                lambda: [fleet.submit({"task_type": "noop", "number": n}) for n in range(count)],
            ),
        }


def submit_in_batches(count: int) -> dict[str, float]:
    """A hundred steps are a transaction."""
    with _bare() as bare, _fleet() as fleet:
        return {
            "limit": _rate(count, lambda: bare.submit(count, BATCH)),
            "fleet-q": _rate(count, lambda: _submit(fleet, count)),
        }


def drain(count: int, *, backlog: int = 0, task_type: str = "noop") -> dict[str, float]:
    """A real pod runs ``count`` functions that do nothing, ``backlog`` more steps behind them."""
    with _bare() as bare, _fleet() as fleet:
        bare.submit(count + backlog, BATCH)
        ids = _submit(fleet, count + backlog, task_type)
        return {
            "limit": _rate(count, lambda: bare.drain(count, BATCH)),
            "fleet-q": asyncio.run(_drain_rate(fleet, count, ids[count - 1])),
        }


def _submit(fleet: FleetQ, count: int, task_type: str = "noop") -> list[str]:
    ids: list[str] = []
    for first in range(0, count, BATCH):
        numbers = range(first, min(first + BATCH, count))
        ids += fleet.submit_many([{"task_type": task_type, "number": n} for n in numbers])
    return ids


async def _drain_rate(fleet: FleetQ, count: int, last: str) -> float:
    """From the pod's start to the completion of the ``count``-th step, steps being taken by age."""
    async with fleet.running():
        began = time.perf_counter()
        while fleet.status(last).status != "completed":
            await asyncio.sleep(0.005)
        return count / (time.perf_counter() - began)


def _rate(count: int, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


@contextmanager
def _bare() -> Iterator[Bare]:
    with tempfile.TemporaryDirectory() as folder:
        bare = Bare(Path(folder, "bare.db"))
        yield bare
        bare.close()


@contextmanager
def _fleet() -> Iterator[FleetQ]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(max_parallelism=PARALLELISM, pod_id="pod-1")
        fleet = FleetQ(f"sqlite:///{Path(folder, 'fleet.db')}", settings=settings)
        fleet.task("noop")(_noop)
        fleet.task("async_noop")(_async_noop)
        yield fleet
        fleet.close()


def _noop(number: int) -> int:
    return number


async def _async_noop(number: int) -> int:
    return number
