"""The outcomes that the store has yet to record, in batches of limited number and size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from fleet_q.core.step import Complete, Outcome

MOST_OUTCOMES: Final = 1_000
"""Outcomes recorded by one sync. The limit keeps its transaction, and so its lock, short."""

MOST_OUTCOME_BYTES: Final = 4 * 1024 * 1024
"""Bytes of results and errors recorded by one sync, approximately. The limit keeps the
transaction short and bounds the memory that the request needs. A single outcome may have more."""


class Outbox:
    """Outcomes, first in, first out. ``size`` is the bytes of all results and errors."""

    def __init__(self) -> None:
        self.size = 0
        self._outcomes: list[Outcome] = []

    def __len__(self) -> int:
        return len(self._outcomes)

    def has(self, step_id: str, claim_token: str) -> bool:
        """Whether an outcome of this claim waits."""
        return any(
            outcome.step_id == step_id and outcome.claim_token == claim_token
            for outcome in self._outcomes
        )

    @property
    def fits_in_one_sync(self) -> bool:
        """Whether one sync may record all of them."""
        count = len(self._outcomes)
        return count < 2 or (count <= MOST_OUTCOMES and self.size <= MOST_OUTCOME_BYTES)

    def add(self, outcome: Outcome) -> None:
        """Append an outcome."""
        self._outcomes.append(outcome)
        # Almost all outcomes are ``Complete`` with a result in ASCII; the property ``size`` is
        # several times slower.
        if type(outcome) is Complete and not outcome.children and outcome.result.isascii():
            self.size += len(outcome.result)
        else:
            self.size += outcome.size

    def add_first(self, outcome: Outcome) -> None:
        """Insert an outcome before all others."""
        self._outcomes.insert(0, outcome)
        self.size += outcome.size

    def batch(self, most: int = MOST_OUTCOMES) -> tuple[Outcome, ...]:
        """The first outcomes, at most ``most``, that one sync may record together."""
        if self.fits_in_one_sync:
            return tuple(self._outcomes[:most])
        return next(_batches(self._outcomes[:most]))

    def remove(self, count: int) -> int:
        """Remove the first ``count`` outcomes and return their size."""
        if count == len(self._outcomes):
            removed, self._outcomes = self.size, []
        else:
            removed = sum(outcome.size for outcome in self._outcomes[:count])
            self._outcomes = self._outcomes[count:]
        self.size -= removed
        return removed

    def take_all(self, more: Iterable[Outcome]) -> list[tuple[Outcome, ...]]:
        """Remove all outcomes and return them in batches, followed by ``more``."""
        outcomes, self._outcomes, self.size = [*self._outcomes, *more], [], 0
        return list(_batches(outcomes))


def _batches(outcomes: list[Outcome]) -> Iterator[tuple[Outcome, ...]]:
    first = size = 0
    for number, outcome in enumerate(outcomes):
        size += outcome.size
        if number > first and (number - first >= MOST_OUTCOMES or size > MOST_OUTCOME_BYTES):
            yield tuple(outcomes[first:number])
            first, size = number, outcome.size
    if outcomes:
        yield tuple(outcomes[first:])
