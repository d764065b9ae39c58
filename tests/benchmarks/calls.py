"""The calls of the measured function, in a file that a worker and the benchmark both map.

The benchmark can watch a worker's progress without using the store, and the counts survive the
worker.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path
from typing import Final

VARIABLE: Final = "BENCHMARK_CALLS"
"""The environment variable with the path of a worker's file."""

_HEADER: Final = 4 * 8  # four doubles
_READY, _GO, _FIRST, _LAST = range(4)
_PAUSE: Final = 0.001


class Calls:
    """One worker's calls of the measured function, by the number that each task carries.

    Times are seconds since the Unix epoch.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "r+b") as file:
            self._map = memoryview(mmap.mmap(file.fileno(), 0))
        self._times = self._map[:_HEADER].cast("d")
        self._counts = self._map[_HEADER:]

    @classmethod
    def create(cls, path: Path, numbers: int) -> Calls:
        """A file for the numbers from 0 on; each may be called 255 times."""
        with open(path, "wb") as file:
            file.truncate(_HEADER + numbers)
        return cls(path)

    def record(self, number: int) -> int:
        """The measured function: it records the call and returns its argument."""
        self.mark()
        self._counts[number] += 1
        return number

    def mark(self) -> None:
        """Record that the worker is at work now."""
        now = self._times[_LAST] = time.time()
        if not self._times[_FIRST]:
            self._times[_FIRST] = now

    def wait_for_go(self) -> None:
        """In the worker: report that it is ready, and wait for :meth:`go`."""
        self._times[_READY] = 1
        while not self._times[_GO]:
            time.sleep(_PAUSE)

    @property
    def ready(self) -> bool:
        """Whether the worker waits for :meth:`go`."""
        return bool(self._times[_READY])

    def go(self) -> None:
        """Let the worker start."""
        self._times[_GO] = 1

    @property
    def first(self) -> float:
        """When work began; 0 if it has not."""
        return self._times[_FIRST]

    @property
    def last(self) -> float:
        """When the last call began."""
        return self._times[_LAST]

    @property
    def numbers(self) -> int:
        """How many different numbers were called."""
        return len(self._counts) - bytes(self._counts).count(0)

    @property
    def counts(self) -> bytes:
        """How often each number was called."""
        return bytes(self._counts)
