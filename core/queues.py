"""Queues under control: their limits, the history of these, and how many steps they let pods claim.

A queue without a row has no limits. Its limits are changed by events, which are kept. How full its
token bucket is, is bookkeeping of the row, not history.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Literal, TypeVar, get_args

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from fleet_q.core.errors import CorruptLog, InvalidInput
from fleet_q.core.rate import Rate

T = TypeVar("T")

QueueEventType = Literal["created", "changed", "paused", "resumed"]
QUEUE_EVENT_TYPES: Final = get_args(QueueEventType)

MOST_RUNNING: Final = 2**31 - 1
"""The highest ``max_running``, which is no limit in practice."""


class Queue(msgspec.Struct, frozen=True):
    """The limits of a queue: a row of ``QUEUES``.

    At most ``max_running`` of its steps are claimed at once, and ``max_running_per_key`` of those
    with the same key, whether their functions have begun or not. ``rate_count`` tokens refill
    within ``rate_period`` microseconds, and each claim of a step takes one. While it is ``paused``,
    no step is claimed. ``None``: no limit.

    ``tokens`` counts in parts of a token, ``rate_period`` of which are one, as of ``refilled_ts``:
    a microsecond adds ``rate_count`` of them, so nothing is ever rounded.
    """

    queue: str
    max_running: int | None = None
    max_running_per_key: int | None = None
    rate_count: int | None = None
    rate_period: int | None = None
    paused: bool = False
    tokens: int = 0
    refilled_ts: int = 0
    version: int = 0
    last_update_ts: int = 0

    @property
    def rate(self) -> Rate | None:
        """The limit on claims over time."""
        if self.rate_count is None or self.rate_period is None:
            return None
        return Rate(self.rate_count, self.rate_period)

    @property
    def has_limits(self) -> bool:
        """Whether some step may have to wait for the queue."""
        limits = (self.max_running, self.max_running_per_key, self.rate_count)
        return self.paused or any(limit is not None for limit in limits)

    @property
    def counts_running(self) -> bool:
        """Whether its steps that are claimed matter to a claim."""
        is_limited = self.max_running is not None or self.max_running_per_key is not None
        return is_limited and not self.paused


class QueueChange(msgspec.Struct, frozen=True):
    """The limits to set; those that are ``UNSET`` stay as they are, and ``None`` removes one."""

    max_running: int | UnsetType | None = UNSET
    max_running_per_key: int | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    paused: bool | UnsetType = UNSET


class QueueEvent(msgspec.Struct, frozen=True):
    """A row of ``QUEUE_EVENTS``: who changed the limits of a queue, when, and to what.

    ``changed_by`` is what the caller gave as its name: a pod, or a user on a machine.
    """

    queue: str
    version: int
    type: QueueEventType
    event_ts: int
    changed_by: str | None
    max_running: int | None
    max_running_per_key: int | None
    rate_count: int | None
    rate_period: int | None
    paused: bool


QueueWrite = tuple[QueueEvent | None, Queue]
"""A queue after a change, and its event; ``None`` if only its tokens changed."""


def checked(change: QueueChange) -> QueueChange:
    """The change, if its values are valid. Raises :class:`InvalidInput`."""
    for name in ("max_running", "max_running_per_key"):
        value = getattr(change, name)
        if value is UNSET or value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_RUNNING:
            raise InvalidInput(
                f"{name} must be a whole number from 1 to {MOST_RUNNING}, not {value!r};"
                " pause the queue to let nothing run"
            )
    if change.paused is not UNSET and not isinstance(change.paused, bool):
        raise InvalidInput(f"paused must be true or false, not {change.paused!r}")
    return change


def change_queue(
    row: Queue | None, name: str, change: QueueChange, at: int, by: str | None
) -> tuple[QueueEvent, Queue] | None:
    """The event that a change causes at store time ``at``, and the row after it; ``None`` if the
    limits are such already. A new rate begins with all its tokens."""
    before = row or Queue(name)
    after = replace(
        before,
        max_running=_or(change.max_running, before.max_running),
        max_running_per_key=_or(change.max_running_per_key, before.max_running_per_key),
        paused=_or(change.paused, before.paused),
    )
    if change.rate is not UNSET:
        count, period = (change.rate.count, change.rate.period) if change.rate else (None, None)
        after = replace(after, rate_count=count, rate_period=period)
    if after == before:
        return None
    kind: QueueEventType = "changed"
    if row is None:
        kind = "created"
    elif replace(after, paused=before.paused) == before:
        kind = "paused" if after.paused else "resumed"
    event = QueueEvent(
        queue=name,
        version=before.version + 1,
        type=kind,
        event_ts=at,
        changed_by=by,
        max_running=after.max_running,
        max_running_per_key=after.max_running_per_key,
        rate_count=after.rate_count,
        rate_period=after.rate_period,
        paused=after.paused,
    )
    return event, after_event(row, event)


def after_event(row: Queue | None, event: QueueEvent) -> Queue:
    """The row after an event. Raises :class:`CorruptLog` if it is not the next one of the queue."""
    before = row or Queue(event.queue)
    if event.version != before.version + 1:
        raise CorruptLog(f"queue {event.queue!r} has a gap before version {event.version}")
    after = replace(
        before,
        max_running=event.max_running,
        max_running_per_key=event.max_running_per_key,
        rate_count=event.rate_count,
        rate_period=event.rate_period,
        paused=event.paused,
        version=event.version,
        last_update_ts=event.event_ts,
    )
    if after.rate == before.rate:
        return after
    rate = after.rate
    tokens = rate.count * rate.period if rate is not None else 0
    return replace(after, tokens=tokens, refilled_ts=event.event_ts)


def fold_queue(history: Iterable[QueueEvent]) -> Queue | None:
    """The row after all events of a queue; ``None`` for an empty history."""
    row: Queue | None = None
    for event in history:
        row = after_event(row, event)
    return row


def is_equal_but_for_tokens(row: Queue | None, folded: Queue | None) -> bool:
    """Whether a queue's row equals its folded history, apart from the tokens in its bucket."""
    return (row and _without_tokens(row)) == (folded and _without_tokens(folded))


def with_tokens(folded: Iterable[Queue], table: Iterable[Queue]) -> Iterator[Queue]:
    """The ``folded`` queues with the tokens of their rows in ``table``, because these are not in
    the history. Without a row with this rate, the bucket is full."""
    rows = {row.queue: row for row in table}
    for queue in folded:
        row = rows.get(queue.queue)
        if row is not None and row.rate == queue.rate:
            queue = replace(queue, tokens=row.tokens, refilled_ts=row.refilled_ts)
        yield queue


def _without_tokens(queue: Queue) -> Queue:
    return replace(queue, tokens=0, refilled_ts=0)


def refilled(queue: Queue, at: int) -> Queue:
    """The queue with its tokens at store time ``at``. After the clock was set back, the bucket
    stays as it is and refills from then on."""
    rate = queue.rate
    if rate is None:
        return queue
    elapsed = min(max(0, at - queue.refilled_ts), rate.period)
    tokens = min(queue.tokens + elapsed * rate.count, rate.count * rate.period)
    return replace(queue, tokens=tokens, refilled_ts=at)


class QueueRoom:
    """How many more steps of one queue may be claimed at store time ``at``, and of each key.

    ``running``: how many of its steps are claimed, by key.
    """

    def __init__(self, queue: Queue, running: Mapping[str | None, int], at: int) -> None:
        self.is_ahead = queue.rate_period is not None and queue.refilled_ts > at
        """Whether the clock was set back since the bucket was refilled, so that its row has to be
        written: it refills from now on."""
        self._queue = refilled(queue, at)
        self._running = running
        self._taken: dict[str | None, int] = {}
        self._count = 0

    @property
    def is_paused(self) -> bool:
        """Whether no step is claimed, whatever the room."""
        return self._queue.paused

    @property
    def steps(self) -> int:
        """How many more steps may be claimed, whatever their keys."""
        queue, room = self._queue, MOST_RUNNING
        if queue.paused:
            return 0
        if queue.max_running is not None:
            room = queue.max_running - sum(self._running.values())
        if queue.rate_period is not None:
            room = min(room, queue.tokens // queue.rate_period)
        return max(0, room - self._count)

    @property
    def per_key(self) -> int | None:
        """How many steps of one key may be claimed at once; ``None``: any number."""
        return self._queue.max_running_per_key

    def of_key(self, key: str | None) -> int:
        """How many more steps with this key may be claimed; a step without one has none to wait
        for."""
        if self.per_key is None or key is None:
            return self.steps
        used = self._running.get(key, 0) + self._taken.get(key, 0)
        return min(self.steps, max(0, self.per_key - used))

    def used(self) -> list[tuple[str, int]]:
        """How many steps of each key are claimed, pairs of key and number."""
        return [(key, number) for key, number in self._running.items() if key is not None]

    def take(self, key: str | None) -> bool:
        """Claim a step with this key, if there is room."""
        if not self.of_key(key):
            return False
        self._count += 1
        self._taken[key] = self._taken.get(key, 0) + 1
        return True

    def after_claim(self, claimed: int) -> Queue | None:
        """The row after so many of its steps were claimed; ``None`` if it stays as it is."""
        queue = self._queue
        if queue.rate_period is None or not (claimed or self.is_ahead):
            return None
        return replace(queue, tokens=queue.tokens - claimed * queue.rate_period)

    def next_token(self) -> int | None:
        """When there is a whole token again; ``None`` if there is one, or no rate."""
        queue = self._queue
        if queue.rate_count is None or queue.rate_period is None or queue.paused:
            return None
        missing = queue.rate_period * (self._count + 1) - queue.tokens
        return queue.refilled_ts + -(-missing // queue.rate_count) if missing > 0 else None


def _or(value: T | UnsetType, current: T) -> T:
    return current if isinstance(value, UnsetType) else value
