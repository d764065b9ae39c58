"""Checks of claims against the limits of queues, which are in force at the claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import msgspec

from fleet_q.core.queues import Queue, QueueEvent
from fleet_q.services.simulation.records import StepRecord, require


class Limits(msgspec.Struct):
    """The limits of a queue according to its history; ``tokens`` at the store's time ``at``."""

    max_running: int | None
    max_running_per_key: int | None
    count: int | None
    period: int | None
    paused: bool
    tokens: Fraction
    at: int


class QueueChecks:
    """Counts the claimed steps of queues and keys. ``now``: returns the true time in
    microseconds."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._limits: dict[str, Limits] = {}
        self._running: dict[str, dict[str | None, int]] = {}
        self._changed: dict[str, int] = {}  # true time

    @property
    def paused(self) -> list[str]:
        """The queues that are paused."""
        return [queue for queue, limits in self._limits.items() if limits.paused]

    def set(self, event: QueueEvent) -> None:
        """The limits of a queue were changed. A new rate begins with all its tokens."""
        before = self._limits.get(event.queue)
        tokens, at = Fraction(event.rate_count or 0), event.event_ts
        if before is not None and (before.count, before.period) == (
            event.rate_count,
            event.rate_period,
        ):
            tokens, at = before.tokens, before.at
        self._limits[event.queue] = Limits(
            event.max_running,
            event.max_running_per_key,
            event.rate_count,
            event.rate_period,
            event.paused,
            tokens,
            at,
        )
        self._changed[event.queue] = self._now()

    def stored(self, queue: Queue) -> None:
        """The row of a queue was stored. If the clock was set back, its bucket refills from that
        time on."""
        limits = self._limits.get(queue.queue)
        if limits is not None:
            limits.at = min(limits.at, queue.refilled_ts)

    def count(self, record: StepRecord, by: int) -> None:
        """``by`` more steps like this one are claimed."""
        running = self._running.setdefault(record.queue, {})
        running[record.key] = running.get(record.key, 0) + by
        self._changed[record.queue] = self._now()

    def check(self, claimed: Sequence[tuple[StepRecord, str]], at: int) -> None:
        """Check the claims of one transaction, after all that it does. Raises
        :class:`Violation`."""
        for record, step_id in claimed:
            limits = self._limits.get(record.queue)
            if limits is None:
                continue
            require(not limits.paused, "limits", step_id, "was claimed while its queue was paused")
            running = self._running[record.queue]
            total, of_key = sum(running.values()), running[record.key]
            require(
                limits.max_running is None or total <= limits.max_running,
                "limits",
                step_id,
                "is one of {} that run, of {}",
                total,
                limits.max_running,
            )
            require(
                limits.max_running_per_key is None
                or record.key is None
                or of_key <= limits.max_running_per_key,
                "limits",
                step_id,
                "is one of {} that run with its key, of {}",
                of_key,
                limits.max_running_per_key,
            )
            limits.tokens, limits.at = self._tokens(limits, at), at
            if limits.count is not None:
                limits.tokens -= 1
                require(limits.tokens >= 0, "limits", step_id, "was claimed without a token")

    def has_limits(self, record: StepRecord) -> bool:
        """Whether the step's queue has limits."""
        limits = self._limits.get(record.queue)
        return limits is not None and (
            limits.paused
            or limits.max_running is not None
            or limits.max_running_per_key is not None
            or limits.count is not None
        )

    def has_room(self, record: StepRecord, at: int) -> bool:
        """Whether one more step like this one may be claimed at store time ``at``."""
        limits = self._limits.get(record.queue)
        if limits is None:
            return True
        running = self._running.get(record.queue, {})
        per_key = limits.max_running_per_key
        return (
            not limits.paused
            and (limits.max_running is None or sum(running.values()) < limits.max_running)
            and (per_key is None or record.key is None or running.get(record.key, 0) < per_key)
            and (limits.count is None or self._tokens(limits, at) >= 1)
        )

    def has_had_room_since(self, record: StepRecord) -> int | None:
        """True time since which the step has had room at least; ``None``: that is not known."""
        limits = self._limits.get(record.queue)
        if limits is not None and limits.count is not None:
            return None
        return self._changed.get(record.queue, 0)

    @staticmethod
    def _tokens(limits: Limits, at: int) -> Fraction:
        if limits.count is None or limits.period is None:
            return Fraction(0)
        refill = Fraction(max(0, at - limits.at) * limits.count, limits.period)
        return min(Fraction(limits.count), limits.tokens + refill)
