"""The queue as the log tells it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import Protocol


class Record(Protocol):
    """What it looks at of a step."""

    priority: int
    created: int
    available: int
    version: int
    status: str


class Queue:
    """The pending steps whose time has come, by what should be claimed first."""

    def __init__(self, steps: Mapping[str, Record]) -> None:
        self._steps = steps
        self._waiting: list[tuple[int, str, int]] = []
        self._due: list[tuple[tuple[int, int, str], int]] = []

    def add(self, step_id: str, record: Record) -> None:
        """It is pending from now on."""
        heapq.heappush(self._waiting, (record.available, step_id, record.version))

    def forget(self, step_id: str) -> None:
        """Another step will have this id."""
        self._waiting = [entry for entry in self._waiting if entry[1] != step_id]
        self._due = [entry for entry in self._due if entry[0][2] != step_id]
        heapq.heapify(self._waiting)
        heapq.heapify(self._due)

    def before(self, order: tuple[int, int, str], at: int) -> Iterator[tuple[int, int, str]]:
        """The order of the steps that ought to be claimed before one of this order."""
        passed = []
        while (first := self.first(at)) is not None and first < order:
            yield first
            passed.append(heapq.heappop(self._due))
        for entry in passed:
            heapq.heappush(self._due, entry)

    def first(self, at: int) -> tuple[int, int, str] | None:
        """The order of the step that ought to be claimed first."""
        while self._waiting and self._waiting[0][0] <= at:
            _, step_id, version = heapq.heappop(self._waiting)
            record = self._steps[step_id]
            if record.version == version:
                order = (-record.priority, record.created, step_id)
                heapq.heappush(self._due, (order, version))
        waits_again: list[tuple[tuple[int, int, str], int]] = []  # since the clock was set back
        found = None
        while self._due and found is None:
            order, version = self._due[0]
            record = self._steps[order[2]]
            if record.version != version or record.status != "pending":
                heapq.heappop(self._due)
            elif record.available > at:
                waits_again.append(heapq.heappop(self._due))
            else:
                found = order
        for entry in waits_again:
            heapq.heappush(self._due, entry)
        return found
