"""The life of a step as its page shows it: what happened when, and how long each status lasted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fleet_q.core.lifecycle import STEP, StepStatus
from fleet_q.core.retry import MICROS
from fleet_q.services.app.views import EventView

WIDTH: Final = 1_000
"""The width of the drawing, in its own units."""

NARROWEST: Final = 3.0
"""The least width of a part, so that a short one can be seen."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_BIG: Final = frozenset({"payload", "result", "checkpoint", "traceback", "type", "error"})
"""What the page shows of an event elsewhere, or on a line of its own."""


@dataclass(frozen=True)
class Part:
    """A time that a step spent in one status, from ``x`` on and ``width`` wide in the drawing.
    ``is_early``: it was pending, and not due."""

    status: StepStatus
    is_early: bool
    from_ts: int
    to_ts: int
    pod_id: str | None
    x: float
    width: float

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.to_ts - self.from_ts) / MICROS

    @property
    def name(self) -> str:
        """What the step did in this time."""
        if self.is_early:
            return "not due"
        return {"pending": "due", "claimed": "running"}.get(self.status, self.status)


@dataclass(frozen=True)
class Moment:
    """An event of a step, ``after`` seconds after the one before it."""

    event: EventView
    at: int
    after: float | None
    status: StepStatus
    data: dict[str, Any]


@dataclass(frozen=True)
class Life:
    """The life of a step until now or its end: how long it was due, ran, and took in all."""

    parts: list[Part]
    moments: list[Moment]
    checkpoint: Any
    waited: float
    ran: float
    took: float


def life_of(history: Sequence[EventView], now: int) -> Life:
    """The life of the step with this history, oldest event first, at the time ``now``."""
    moments: list[Moment] = []
    spans: list[tuple[StepStatus, bool, int, int, str | None]] = []
    checkpoint: Any = None
    status: StepStatus = "pending"
    since, due, pod_id, before = 0, 0, None, None
    for event in history:
        at = micros_of(event.at)
        if before is not None:
            spans += _spans(status, since, due, at, pod_id)
        status = _after(status, event)
        if "checkpoint" in event.data:
            checkpoint = event.data["checkpoint"]
        due = micros_of(event.data.get("available_ts") or event.at) if status == "pending" else 0
        pod_id = event.by if event.type == "claimed" else pod_id
        after: float | None = None if before is None else (at - before) / MICROS
        moments.append(Moment(event, at, after, status, _small(event.data)))
        since = before = at
    if before is not None and status not in ("completed", "failed", "cancelled"):
        spans += _spans(status, since, due, max(now, since), pod_id)
    return Life(
        _drawn(spans),
        moments,
        checkpoint,
        sum(end - begin for kind, early, begin, end, _ in spans if kind == "pending" and not early)
        / MICROS,
        sum(end - begin for kind, _, begin, end, _ in spans if kind == "claimed") / MICROS,
        (spans[-1][3] - spans[0][2]) / MICROS if spans else 0.0,
    )


def micros_of(timestamp: str) -> int:
    """Microseconds since 1970 of a timestamp of a view."""
    return (datetime.fromisoformat(timestamp) - _EPOCH) // timedelta(microseconds=1)


def _after(status: StepStatus, event: EventView) -> StepStatus:
    if event.type == "submitted":
        return "waiting" if event.data.get("parents") else "pending"
    return STEP.after(status, event.type) if STEP.allows(status, event.type) else status


def _small(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth showing of an event beside its type."""
    return {name: value for name, value in data.items() if name not in _BIG and value is not None}


def _spans(
    status: StepStatus, since: int, due: int, until: int, pod_id: str | None
) -> list[tuple[StepStatus, bool, int, int, str | None]]:
    """The time between two events; a pending step may be due only in the second part of it."""
    if status != "pending" or due <= since:
        return [(status, False, since, until, pod_id if status == "claimed" else None)]
    due = min(due, until)
    early: tuple[StepStatus, bool, int, int, str | None] = (status, True, since, due, None)
    return [early] if due == until else [early, (status, False, due, until, None)]


def _drawn(spans: Sequence[tuple[StepStatus, bool, int, int, str | None]]) -> list[Part]:
    """The parts, as wide as they took long, and wide enough to be seen."""
    spans = [span for span in spans if span[3] > span[2]]
    total = sum(end - begin for _, _, begin, end, _ in spans)
    room = WIDTH - NARROWEST * len(spans)
    parts: list[Part] = []
    x = 0.0
    for status, early, begin, end, pod_id in spans:
        width = max(1.0, NARROWEST + max(0.0, room) * (end - begin) / total)
        parts.append(Part(status, early, begin, end, pod_id, round(x, 2), round(width, 2)))
        x += width
    return parts
