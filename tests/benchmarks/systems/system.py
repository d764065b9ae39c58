"""The interface of a queue that the benchmark measures."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from tests.benchmarks.calls import Calls
from tests.benchmarks.processes import Command


class System(ABC):
    """A queue in files below ``folder``, opened by one process.

    A task is a number; running it is calling the measured function with it. All systems have the
    same durability, WAL and ``synchronous=NORMAL``: what was committed survives the kill of any
    process, and a power cut may take the last commits with it.
    """

    name: ClassVar[str]
    modules: ClassVar[Sequence[str]] = ()
    """The modules that it needs."""

    lacks: ClassVar[str] = ""
    """Features of FLEET-Q that it lacks, whose cost its rates therefore leave out."""

    has_batches: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, folder: Path) -> None: ...

    @abstractmethod
    def submit(self, number: int) -> Any:
        """Store one task, and commit; returns its key for :meth:`is_completed`."""

    def submit_batch(self, numbers: Sequence[int]) -> None:
        """Store these in one transaction, if it ``has_batches``."""
        raise NotImplementedError

    @abstractmethod
    def is_completed(self, task: Any) -> bool:
        """Whether a client can see that this task is done."""

    @abstractmethod
    def waiting(self) -> int:
        """How many stored tasks have not begun."""

    @abstractmethod
    def completed(self) -> int:
        """How many tasks the store says are done."""

    def consume(self, calls: Calls, stopping: threading.Event) -> None:
        """In a worker's process: run tasks as the system's users do, until ``stopping``."""
        raise NotImplementedError

    @abstractmethod
    def close(self) -> None:
        """Close the files."""

    @classmethod
    def installed(cls) -> bool:
        """Whether it can be measured here."""
        return all(find_spec(module) is not None for module in cls.modules)

    @classmethod
    def worker(cls, folder: Path, index: int) -> Command:
        """The command that starts its ``index``-th worker."""
        words = [sys.executable, "-m", "tests.benchmarks.worker", cls.name, str(folder)]
        return Command(words, {})

    def seconds(self, calls: Sequence[Calls], done: int) -> float:
        """How long the first ``done`` tasks took, from the first's claim to the last's completion.

        For a system that takes one task at a time, that is from the first call to the last.
        """
        return max(worker.last for worker in calls) - min(
            worker.first for worker in calls if worker.first
        )

    def faults(self, calls: Sequence[Calls]) -> list[str]:
        """The faults of a drain: tasks that were called more than once, or that were called and are
        not done in the store."""
        counts = [sum(column) for column in zip(*(worker.counts for worker in calls), strict=True)]
        called = sum(count > 0 for count in counts)
        faults = ["called tasks more than once"] if any(count > 1 for count in counts) else []
        if (completed := self.completed()) != called:
            faults.append(f"called {called} tasks and has {completed} as done")
        return faults
