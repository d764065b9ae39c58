"""Queues in files: empty ones, and filled ones, which are filled once and copied for every run."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.benchmarks.systems.system import System

BATCH: Final = 100
"""Tasks submitted in one transaction, by a system that can."""


class TooSlow(Exception):
    """The system takes longer to fill than the limit."""


class Stores:
    """Keeps all files below ``root``, which the caller removes."""

    def __init__(self, root: Path, fill_limit: float) -> None:
        self._root = root
        self._fill_limit = fill_limit
        self._filled: dict[tuple[type[System], int], Path | None] = {}

    @contextmanager
    def empty(self) -> Iterator[Path]:
        """A new folder."""
        with tempfile.TemporaryDirectory(dir=self._root) as folder:
            yield Path(folder)

    @contextmanager
    def filled(self, system: type[System], count: int) -> Iterator[Path]:
        """A folder with the tasks from 0 to ``count``; :class:`TooSlow` if filling takes long."""
        key = (system, count)
        if key not in self._filled:
            self._filled[key] = self._fill(system, count)
        original = self._filled[key]
        if original is None:
            raise TooSlow(f"{count:,} tasks take longer than {self._fill_limit:g} s to submit")
        with self.empty() as folder:
            shutil.copytree(original, folder, dirs_exist_ok=True, copy_function=_copy_to_disk)
            yield folder

    def _fill(self, system: type[System], count: int) -> Path | None:
        folder = Path(tempfile.mkdtemp(dir=self._root))
        queue = system(folder)
        try:
            until = time.monotonic() + self._fill_limit
            for first in range(0, count, BATCH):
                submit(queue, range(first, min(first + BATCH, count)))
                if not system.has_batches and time.monotonic() > until:
                    shutil.rmtree(folder)
                    return None
            assert queue.waiting() == count
        finally:
            queue.close()
        return folder


def _copy_to_disk(source: str, target: str) -> None:
    """Copy a file, and sync the copy to disk: otherwise the first checkpoint on the copy would wait
    for all of it."""
    shutil.copyfile(source, target)
    with open(target, "rb") as file:
        os.fsync(file.fileno())


def submit(queue: System, numbers: range) -> None:
    """Store these, in one transaction if the system can."""
    if queue.has_batches:
        queue.submit_batch(numbers)
    else:
        for number in numbers:
            queue.submit(number)
