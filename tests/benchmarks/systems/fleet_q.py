"""FLEET-Q itself: ``fleet-q worker`` processes, measured and checked by their log."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from fleet_q import FleetQ, Settings
from fleet_q.core.events import Claimed, Completed
from tests.benchmarks.calls import Calls
from tests.benchmarks.processes import Command
from tests.benchmarks.systems.system import System

BUSY: Mapping[str, str] = {"FLEET_Q_MAX_PARALLELISM": "125"}
"""Settings of a pod that has short steps to run: at the default threshold it holds 100 at once, as
many as the limit takes in one transaction."""


class _Log:
    """Times in microseconds since the Unix epoch."""

    def __init__(self) -> None:
        self.first_claim: float = math.inf
        self.completed: list[int] = []
        self.results: list[int] = []


class FleetQueue(System):
    """FLEET-Q, with a busy pod's settings."""

    name = "fleet-q"
    has_batches = True
    task_type: ClassVar[str] = "noop"
    settings: ClassVar[Mapping[str, str]] = BUSY

    def __init__(self, folder: Path) -> None:
        self._fleet = FleetQ(_url(folder), settings=Settings())

    def submit(self, number: int) -> str:
        return self._fleet.submit({"task_type": self.task_type, "number": number})

    def submit_batch(self, numbers: Sequence[int]) -> None:
        self._fleet.submit_many({"task_type": self.task_type, "number": n} for n in numbers)

    def is_completed(self, task: str) -> bool:
        return self._fleet.status(task).status == "completed"

    def waiting(self) -> int:
        return self._fleet.queue()["pending"]

    def completed(self) -> int:
        return self._fleet.queue()["completed"]

    def close(self) -> None:
        self._fleet.close()

    @classmethod
    def worker(cls, folder: Path, index: int) -> Command:
        words = [sys.executable, "-m", "fleet_q", "worker"]
        words += ["--app", "tests.benchmarks.fleet_app:app", "--store", _url(folder)]
        env = {"FLEET_Q_POD_ID": f"pod-{index}", "FLEET_Q_LOG_LEVEL": "warning", **cls.settings}
        return Command(words, env)

    def seconds(self, calls: Sequence[Calls], done: int) -> float:
        """Read from the log, from the first claim to the completion of the ``done``-th step: a pod
        claims and acknowledges many steps at once, so times of calls would be wrong."""
        return (sorted(self._log.completed)[done - 1] - self._log.first_claim) / 1_000_000

    def faults(self, calls: Sequence[Calls]) -> list[str]:
        """Also check the results: each is the number that its step was called with."""
        faults = super().faults(calls)
        counts = zip(*(worker.counts for worker in calls), strict=True)
        called = [number for number, times in enumerate(counts) if any(times)]
        if sorted(self._log.results) != called:
            faults.append("keeps results that are not what the functions returned")
        return faults

    @cached_property
    def _log(self) -> _Log:
        """The log after the drain."""
        log = _Log()
        for event in self._fleet.store.step_events():
            if isinstance(event.fact, Claimed):
                log.first_claim = min(log.first_claim, event.at)
            elif isinstance(event.fact, Completed):
                log.completed.append(event.at)
                log.results.append(int(bytes(event.fact.result)))
        return log


class FleetQueueAsync(FleetQueue):
    """Steps whose functions are async."""

    task_type = "async_noop"


class FleetQueueDefaults(FleetQueue):
    """Pods with default settings."""

    settings: ClassVar[Mapping[str, str]] = {}


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'fleet.db'}"
