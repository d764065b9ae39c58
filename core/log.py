"""The log in order of time: what happened to steps, pods, queues and schedules, and who did it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from fleet_q.core.briefs import MAX_ERROR_LENGTH
from fleet_q.core.errors import InvalidInput
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.queues import QueueEvent
from fleet_q.core.schedules import ScheduleEvent
from fleet_q.core.step import Step

StreamKind = Literal["pod", "queue", "schedule", "step"]
STREAM_KINDS: Final[tuple[StreamKind, ...]] = get_args(StreamKind)

END_OF_TIME: Final = 2**62
"""A time that no event has reached."""


class Place(NamedTuple):
    """The place of an entry: the log is ordered by it."""

    at: int
    stream: StreamKind
    name: str
    version: int


class LogEntry(msgspec.Struct, frozen=True, gc=False):
    """An event, without what people have put in: payloads, results, labels.

    - ``at``: the time by the store's clock.
    - ``stream``, ``name``: what it happened to, such as ``step`` and its id; ``version`` counts the
      events of one name from 1.
    - ``by``: who did it: the id of a pod, or another name that was given; ``None``: not known.
    - ``queue``, ``task_type``: those of a step, as they are now; ``queue`` also of a queue.
    - ``error``: the error of a step, cut after ``MAX_ERROR_LENGTH`` characters.
    """

    at: int
    stream: StreamKind
    name: str
    version: int
    type: str
    by: str | None
    queue: str | None = None
    task_type: str | None = None
    error: str | None = None

    @property
    def place(self) -> Place:
        """Its place in the log."""
        return Place(self.at, self.stream, self.name, self.version)


class LogFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Selects the events that meet all of its conditions; an empty or ``None`` condition is met by
    every event.

    - ``since``, ``until``: they happened at ``since`` or later, and before ``until``.
    - ``by``: who did it.
    - ``step_id``: the step that it happened to.
    - ``queue``: the queue that it happened to, or to a step of.
    - ``types``, ``streams``: the event has one of these.

    ``newest_first``: the order of the pages is from the latest to the oldest.
    """

    since: int | None = None
    until: int | None = None
    by: str | None = None
    step_id: str | None = None
    queue: str | None = None
    types: tuple[str, ...] = ()
    streams: tuple[StreamKind, ...] = ()
    newest_first: bool = False

    @property
    def kinds(self) -> tuple[StreamKind, ...]:
        """The kinds of streams that have events which it may select."""
        kinds = self.streams or STREAM_KINDS
        if self.step_id is not None:
            kinds = tuple(kind for kind in kinds if kind == "step")
        elif self.queue is not None:
            kinds = tuple(kind for kind in kinds if kind in ("queue", "step"))
        return kinds

    def selects(self, entry: LogEntry) -> bool:
        """Whether ``entry`` meets all conditions."""
        return (
            (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
            and (self.by is None or entry.by == self.by)
            and entry.stream in self.kinds
            and (self.step_id is None or entry.name == self.step_id)
            and (self.queue is None or entry.queue == self.queue)
            and (not self.types or entry.type in self.types)
        )


class LogPage(msgspec.Struct, frozen=True):
    """A page of the log, read at store time ``at``. ``cursor`` continues after it; ``None``: there
    are no more entries now."""

    at: int
    entries: tuple[LogEntry, ...]
    cursor: str | None


class Bounds(NamedTuple):
    """The entries of one kind of stream on a page: their time, name and version are greater than
    the first three, and less than the others."""

    after_ts: int
    after_name: str
    after_version: int
    before_ts: int
    before_name: str
    before_version: int


def bounds(selected: LogFilter, cursor: str | None, kind: StreamKind) -> Bounds:
    """The bounds of the entries of this kind that a page after ``cursor`` may have. Raises
    :class:`InvalidInput` for a cursor that no page has returned."""
    after = (selected.since or 0, "", 0)
    before = (END_OF_TIME if selected.until is None else selected.until, "", 0)
    if cursor is None:
        return Bounds(*after, *before)
    place = to_place(cursor)
    if kind == place.stream:
        edge = (place.at, place.name, place.version)
    elif (kind > place.stream) != selected.newest_first:
        edge = (place.at, "", 0) if not selected.newest_first else (place.at + 1, "", 0)
    else:
        edge = (place.at + 1, "", 0) if not selected.newest_first else (place.at, "", 0)
    return Bounds(*after, *edge) if selected.newest_first else Bounds(*edge, *before)


def page(at: int, found: Iterable[LogEntry], limit: int, *, newest_first: bool) -> LogPage:
    """The page of up to ``limit`` entries, of which queries for as many have found those after its
    cursor. If there are fewer, it is the last."""
    in_order = sorted(found, key=lambda entry: entry.place, reverse=newest_first)
    entries = tuple(in_order[:limit])
    cursor = None
    if len(entries) == limit:
        cursor = msgspec.json.encode(entries[-1].place).decode()
    return LogPage(at, entries, cursor)


def to_place(cursor: str) -> Place:
    """The place of the last entry of the page that ended with ``cursor``."""
    try:
        return msgspec.json.decode(cursor, type=Place)
    except (msgspec.MsgspecError, UnicodeError):
        raise InvalidInput(
            f"cursor={cursor!r} is not a cursor; pass the 'cursor' of the previous page"
        ) from None


def is_within(entry: LogEntry, bounds: Bounds) -> bool:
    """Whether the entry is within the bounds of its kind."""
    key = (entry.at, entry.name, entry.version)
    return bounds[:3] < key < bounds[3:]


def of_step(event: StepEvent, step: Step | None) -> LogEntry:
    """The entry of a step's event; ``step`` is its step as it is now."""
    error = getattr(event.fact, "error", None)
    return LogEntry(
        event.at,
        "step",
        event.stream,
        event.version,
        event.fact.type,
        event.pod_id,
        None if step is None else step.queue,
        None if step is None else step.task_type or None,
        None if error is None else error[:MAX_ERROR_LENGTH],
    )


def of_pod(event: PodEvent) -> LogEntry:
    """The entry of a pod's event."""
    return LogEntry(event.at, "pod", event.stream, event.version, event.fact.type, event.pod_id)


def of_queue(event: QueueEvent) -> LogEntry:
    """The entry of a change of a queue's limits."""
    return LogEntry(
        event.event_ts,
        "queue",
        event.queue,
        event.version,
        event.type,
        event.changed_by,
        event.queue,
    )


def of_schedule(event: ScheduleEvent) -> LogEntry:
    """The entry of a change of a schedule."""
    return LogEntry(
        event.event_ts, "schedule", event.schedule, event.version, event.type, event.changed_by
    )
