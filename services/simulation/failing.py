"""Checks that a pod stops if its store fails for too long, and only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fleet_q.services.simulation.violation import Violation

LONGEST_GAP: Final = 0.1
"""The part of the limit that the time between two failures counts for at most, since the process
may have been frozen."""

TOLERANCE: Final = 1.5
"""The factor by which a pod may exceed the limit, since it notices only with the next failure."""


class Failing:
    """For how long the calls of a pod have failed. ``limit``: seconds after which it has to stop,
    by its own ``clock``."""

    def __init__(self, pod_id: str, limit: float, clock: Callable[[], float]) -> None:
        self._pod_id = pod_id
        self._limit = limit
        self._clock = clock
        self._wrote_at = clock()
        self._failed_at: float | None = None
        self._failing_for = 0.0

    def answered(self, *, wrote: bool) -> None:
        """The store has answered a call; ``wrote``: it was a sync."""
        self._failed_at, self._failing_for = None, 0.0
        if wrote:
            self._wrote_at = self._clock()

    def failed(self) -> None:
        """A call has failed. Raises :class:`Violation` if the pod should have stopped before."""
        now = self._clock()
        if self._failed_at is not None:
            self._failing_for += min(now - self._failed_at, LONGEST_GAP * self._limit)
        self._failed_at = now
        if self._failing_for > TOLERANCE * self._limit:
            how = f"goes on although its store has failed for {self._failing_for:.0f} s"
            raise Violation("pods give up", self._pod_id, how)

    def check_given_up(self) -> None:
        """The pod stops. Raises :class:`Violation` if it is too early."""
        since = self._clock() - self._wrote_at
        if since < self._limit:
            how = f"stopped {since:.0f} s after a sync that succeeded"
            raise Violation("pods give up", self._pod_id, how)
