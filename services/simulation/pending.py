"""The queue of claimable steps, derived from the log independently of the core."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import Protocol


class Record(Protocol):
    """The fields of a step record that the queue reads."""

    priority: int
    created: int
    available: int
    version: int
    status: str


class Queue:
    """Pending steps that are due, in the order of claims: priority, age, id."""

    def __init__(self, steps: Mapping[str, Record]) -> None:
        self._steps = steps
        self._waiting: list[tuple[int, str, int]] = []
        self._due: list[tuple[tuple[int, int, str], int]] = []

    def add(self, step_id: str, record: Record) -> None:
        """Add a step that has become pending."""
        heapq.heappush(self._waiting, (record.available, step_id, record.version))

    def forget(self, step_id: str) -> None:
        """Remove the step: its id is going to be reused."""
        self._waiting = [entry for entry in self._waiting if entry[1] != step_id]
        self._due = [entry for entry in self._due if entry[0][2] != step_id]
        heapq.heapify(self._waiting)
        heapq.heapify(self._due)

    def before(self, order: tuple[int, int, str], at: int) -> Iterator[tuple[int, int, str]]:
        """The sort keys of the due steps that precede ``order``, first to last."""
        earlier = []
        try:
            while (first := self.first(at)) is not None and first < order:
                earlier.append(heapq.heappop(self._due))
                yield first
        finally:
            for entry in earlier:
                heapq.heappush(self._due, entry)

    def first(self, at: int) -> tuple[int, int, str] | None:
        """The sort key of the first due step, or ``None``."""
        while self._waiting and self._waiting[0][0] <= at:
            _, step_id, version = heapq.heappop(self._waiting)
            record = self._steps[step_id]
            if record.version == version:
                order = (-record.priority, record.created, step_id)
                heapq.heappush(self._due, (order, version))
        # no longer due, since the clock was set back
        not_due: list[tuple[tuple[int, int, str], int]] = []
        first = None
        while self._due and first is None:
            order, version = self._due[0]
            record = self._steps[order[2]]
            if record.version != version or record.status != "pending":
                heapq.heappop(self._due)
            elif record.available > at:
                not_due.append(heapq.heappop(self._due))
            else:
                first = order
        for entry in not_due:
            heapq.heappush(self._due, entry)
        return first
