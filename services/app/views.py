"""What the app, the HTTP API and the command line show of the core's state: plain JSON values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from fleet_q.core.errors import UnknownToThisVersion
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.lifecycle import FINAL, POD_STATUSES, STEP_STATUSES, PodStatus, StepStatus
from fleet_q.core.pod import Pod
from fleet_q.core.step import Step


def timestamp(micros: int) -> str:
    """A store's time as text, in UTC, to the second: ``2026-01-17 12:34:56``."""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def precise(micros: int) -> str:
    """A store's time as text, in UTC, to the microsecond."""
    seconds, rest = divmod(micros, 1_000_000)
    return f"{timestamp(seconds * 1_000_000)}.{rest:06d}"


@dataclass(frozen=True)
class StepView:
    """A step. Times are UTC; ``result`` is its function's, ``error`` the last attempt's."""

    step_id: str
    status: StepStatus
    claimed_by: str | None
    payload: dict[str, Any]
    retry_count: int
    max_retries: int
    priority: int
    created_ts: str
    last_update_ts: str
    available_ts: str
    result: Any
    error: str | None
    traceback: str | None

    @classmethod
    def of(cls, step: Step) -> StepView:
        """The view of ``step``. Raises ``UnknownToThisVersion``."""
        if step.status not in STEP_STATUSES:
            raise UnknownToThisVersion(f"step {step.step_id!r} is {step.status!r}")
        return cls(
            step_id=step.step_id,
            status=step.status,
            claimed_by=step.claimed_by,
            payload=msgspec.json.decode(step.payload),
            retry_count=step.retry_count,
            max_retries=step.max_retries,
            priority=step.priority,
            created_ts=timestamp(step.created_ts),
            last_update_ts=timestamp(step.last_update_ts),
            available_ts=timestamp(step.available_ts or _waits_since(step)),
            result=None if step.result is None else msgspec.json.decode(step.result),
            error=step.error,
            traceback=step.traceback,
        )

    @property
    def is_final(self) -> bool:
        """Whether it has ended, unless somebody replays it."""
        return self.status in FINAL


def _waits_since(step: Step) -> int:
    """Since when a step that waits for nothing may be claimed, or might have been at first."""
    return step.last_update_ts if step.status == "pending" else step.created_ts


@dataclass(frozen=True)
class EventView:
    """One line of a history; ``data`` is what the event says besides when and who."""

    version: int
    type: str
    at: str
    pod_id: str | None
    data: dict[str, Any]

    @classmethod
    def of(cls, event: StepEvent | PodEvent) -> EventView:
        """The view of ``event``."""
        data = msgspec.json.decode(msgspec.json.encode(event.fact))
        if "available_ts" in data:  # 0 or missing: at once
            data["available_ts"] = data["available_ts"] or event.at
        return cls(event.version, data.pop("type"), precise(event.at), event.pod_id, data)


@dataclass(frozen=True)
class PodView:
    """A pod; ``alive`` by its last heartbeat, ``leader`` if it is the oldest of those."""

    pod_id: str
    status: PodStatus
    alive: bool
    leader: bool
    birth_ts: str
    last_heartbeat_ts: str

    @classmethod
    def of(cls, pod: Pod, *, alive: bool, leader: bool) -> PodView:
        """The view of ``pod``. Raises ``UnknownToThisVersion``."""
        if pod.status not in POD_STATUSES:
            raise UnknownToThisVersion(f"pod {pod.pod_id!r} is {pod.status!r}")
        return cls(
            pod_id=pod.pod_id,
            status=pod.status,
            alive=alive,
            leader=leader,
            birth_ts=timestamp(pod.birth_ts),
            last_heartbeat_ts=timestamp(pod.last_heartbeat_ts),
        )


@dataclass(frozen=True)
class LeaderView:
    """Who leads, and among whom; ``alive_pods`` are oldest first."""

    leader_pod_id: str | None
    this_pod_id: str | None
    is_leader: bool
    total_alive_pods: int
    alive_pods: list[str]


@dataclass(frozen=True)
class DeadLettersView:
    """A page of dead letters, newest first; hand ``before`` back for the page behind it."""

    steps: list[StepView]
    before: str | None
