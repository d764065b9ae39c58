"""Alerts for people: their texts, what is sent to the webhook, and their view."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from fleet_q.core.alerts import Alert, AlertDetail, AlertStatus

_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""Characters that begin links and mentions in the texts of Slack and others."""


@dataclass(frozen=True)
class AlertView:
    """An alert, and whether the receiver has accepted it. ``since`` is when it was raised, in UTC,
    and ``text`` what a person is told."""

    alert: str
    status: AlertStatus
    text: str
    since: str
    was_sent: bool
    tries: int
    count: int
    queue: str | None
    task_type: str | None
    schedule: str | None
    step_id: str | None

    @classmethod
    def of(cls, row: Alert) -> AlertView:
        """Make the view of a row."""
        detail = row.details
        return cls(
            row.alert,
            row.status,
            text_of(row),
            moment(row.since_ts),
            row.send_ts is None,
            row.tries,
            detail.count,
            detail.queue,
            detail.task_type or None,
            detail.schedule,
            detail.step_id,
        )


def notice_id(row: Alert) -> str:
    """The id of what is sent: the same in every try, and no other's."""
    return f"{row.alert}@{moment(row.since_ts)}/{row.status}"


def notice(row: Alert, pod_id: str, store: str) -> dict[str, Any]:
    """What is sent of an alert."""
    view = AlertView.of(row)
    return {
        "id": notice_id(row),
        "incident": f"{row.alert}@{view.since}",
        "status": view.status,
        "alert": row.kind,
        "text": f"FLEET-Q, {store}: {view.text}".translate(_ESCAPES),
        "since": view.since,
        "count": view.count,
        "queue": view.queue,
        "task_type": view.task_type,
        "schedule": view.schedule,
        "step_id": view.step_id,
        "store": store,
        "pod_id": pod_id,
    }


def trial_notice(at: int, store: str) -> dict[str, Any]:
    """What ``fleet-q alerts test`` sends."""
    return notice(Alert("test", "raised", at), "none", store)


def encoded(value: dict[str, Any]) -> bytes:
    """The body of a request."""
    return msgspec.json.encode(value)


def moment(micros: int) -> str:
    """A time in UTC, to the microsecond: ``2026-11-28T02:00:00.000000Z``."""
    seconds, rest = divmod(micros, 1_000_000)
    time = datetime.fromtimestamp(seconds, UTC)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def text_of(row: Alert) -> str:
    """What an alert says, in one sentence."""
    detail, is_over = row.details, row.status == "resolved"
    match row.kind:
        case "dead_letters":
            return _dead_letters(detail, is_over)
        case "unserved":
            steps = f"steps of {_task(detail)} in queue {detail.queue!r}"
            if is_over:
                return f"resolved: {steps}: a pod takes them again, or none waits"
            return f"no live pod takes {steps}, which wait since {_since(detail)}"
        case "oldest":
            if is_over:
                return f"resolved: queue {detail.queue!r} is no longer behind"
            oldest = f"its oldest step, one of {_task(detail)}, waits since {_since(detail)}"
            return f"queue {detail.queue!r} is behind: {oldest}"
        case "schedule":
            return _schedule(detail, is_over)
        case "test":
            return "a test: alerts arrive here"
    return f"{row.alert} {row.status}"


def _dead_letters(detail: AlertDetail, is_over: bool) -> str:
    count = "1 dead letter" if detail.count == 1 else f"{detail.count} dead letters"
    if is_over:
        return f"resolved: no further dead letters after {count} since {_since(detail)}"
    newest = f"step {detail.step_id} of {_task(detail)} in queue {detail.queue!r}"
    newest = f": {newest}" if detail.count == 1 else f"; the newest is {newest}"
    return f"{count}{newest}. They are listed by: fleet-q dlq list"


def _schedule(detail: AlertDetail, is_over: bool) -> str:
    name = f"schedule {detail.schedule!r}"
    if is_over:
        return f"resolved: {name} is on time again"
    if detail.count:
        return f"{name} did not fire: the step of its last time has not ended"
    return f"{name} did not fire: it was due at {_since(detail)}"


def _task(detail: AlertDetail) -> str:
    return f"task {detail.task_type!r}" if detail.task_type else "no task type"


def _since(detail: AlertDetail) -> str:
    return moment(detail.from_ts or 0)[:19] + "Z"
