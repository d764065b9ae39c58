"""The views of steps, events and pods that the app, HTTP and the command line return, as JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import asdict

from fleet_q.core.dependencies import Kind, parents_of
from fleet_q.core.effects import json_text
from fleet_q.core.errors import UnknownToThisVersion
from fleet_q.core.events import PodEvent, StepEvent
from fleet_q.core.lifecycle import FINAL, POD_STATUSES, STEP_STATUSES, PodStatus, StepStatus
from fleet_q.core.pod import Pod
from fleet_q.core.retry import MICROS
from fleet_q.core.search import StepSummary
from fleet_q.core.step import Step
from fleet_q.core.stored_json import labels_of, object_of, value_of


def timestamp(micros: int) -> str:
    """Format microseconds since 1970 by ISO 8601, to the second: ``2026-01-17T12:34:56Z``."""
    return f"{_to_seconds(micros, 'T')}Z"


def precise(micros: int) -> str:
    """Format microseconds since 1970 by ISO 8601, whole: ``2026-01-17T12:34:56.123456Z``."""
    return f"{_to_seconds(micros, 'T')}.{micros % MICROS:06d}Z"


def quickstart_timestamp(micros: int) -> str:
    """Format microseconds since 1970 in UTC as the quickstart's answers do, which name no zone:
    ``2026-01-17 12:34:56``."""
    return _to_seconds(micros, " ")


def _to_seconds(micros: int, separator: str) -> str:
    moment = datetime.fromtimestamp(micros // MICROS, UTC)
    return moment.replace(tzinfo=None).isoformat(separator)


@dataclass(frozen=True)
class StepView:
    """A step. Times are by ISO 8601, but ``created_ts`` and ``last_update_ts``, which have the form
    of the quickstart, in UTC without a zone. ``result`` is what its function returned, ``error`` is
    that of the last attempt that failed, ``timeout`` is in seconds. ``parents`` says of each step
    that it waits or waited for how that must end. ``progress`` is what its function reported last,
    an object of ``fraction`` and ``text``; ``None`` if it reported nothing, or is completed."""

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
    queue: str
    task_type: str | None
    key: str | None
    unique_key: str | None
    labels: dict[str, str]
    timeout: float | None
    parents: dict[str, Kind]
    workflow_id: str | None
    spawned_by: str | None
    start_by_ts: str | None
    snoozes: int
    progress: dict[str, Any] | None

    @classmethod
    def of(cls, step: Step) -> StepView:
        """Make the view of ``step``. Raises ``UnknownToThisVersion`` for a newer status."""
        if step.status not in STEP_STATUSES:
            raise UnknownToThisVersion(f"step {step.step_id!r} is {step.status!r}")
        return cls(
            step_id=step.step_id,
            status=step.status,
            claimed_by=step.claimed_by,
            payload=object_of(step.payload),
            retry_count=step.retry_count,
            max_retries=step.max_retries,
            priority=step.priority,
            created_ts=quickstart_timestamp(step.created_ts),
            last_update_ts=quickstart_timestamp(step.last_update_ts),
            available_ts=timestamp(step.available_ts or _claimable_since(step)),
            result=None if step.result is None else value_of(step.result),
            error=step.error,
            traceback=step.traceback,
            queue=step.queue,
            task_type=step.task_type or None,
            key=step.key,
            unique_key=step.unique_key,
            labels=labels_of(step.labels),
            timeout=None if step.timeout is None else step.timeout / MICROS,
            parents=parents_of(step.parents),
            workflow_id=step.workflow_id,
            spawned_by=step.spawned_by,
            start_by_ts=None if step.start_by_ts is None else timestamp(step.start_by_ts),
            snoozes=step.snoozes,
            progress=progress_of(step),
        )

    @property
    def is_final(self) -> bool:
        """Whether the step is completed, failed or cancelled: it changes only if it is replayed."""
        return self.status in FINAL


def in_iso(step: StepView) -> StepView:
    """Return the step with all times by ISO 8601."""
    created, updated = (
        time.replace(" ", "T").removesuffix("Z") + "Z"
        for time in (step.created_ts, step.last_update_ts)
    )
    return replace(step, created_ts=created, last_update_ts=updated)


def progress_of(step: Step | StepSummary) -> dict[str, Any] | None:
    """What the function of ``step`` reported last, unless it is completed."""
    if step.progress is None or step.status == "completed":
        return None
    return msgspec.json.decode(step.progress, type=dict[str, Any])


def _claimable_since(step: Step) -> int:
    """Return since when a step without a delay can be claimed, or could be before its claim."""
    return step.last_update_ts if step.status == "pending" else step.created_ts


@dataclass(frozen=True)
class EventView:
    """An event of a step or pod. ``by`` is who caused it: a pod's id, ``key:NAME`` for an API key's
    holder, ``user@host`` for a user; ``None``: it is not known. ``data`` holds the fields that only
    its type has."""

    version: int
    type: str
    at: str
    by: str | None
    data: dict[str, Any]

    @classmethod
    def of(cls, event: StepEvent | PodEvent) -> EventView:
        """Make the view of ``event``."""
        data = _data_of(event)
        if "available_ts" in data:  # 0 or null: claimable at once
            data["available_ts"] = data["available_ts"] or event.at
        if data.get("timeout") is not None:
            data["timeout"] /= MICROS
        data |= {name: precise(data[name]) for name in TIMES if isinstance(data.get(name), int)}
        return cls(event.version, data.pop("type"), precise(event.at), event.pod_id, data)


TIMES: Final = frozenset({"available_ts", "unique_until_ts", "start_by_ts"})
"""The fields of events that are times."""


def _data_of(event: StepEvent | PodEvent) -> dict[str, Any]:
    """The fields of the event's fact, and its ``type``."""
    fact = event.fact
    try:
        data: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(fact))
    except (msgspec.DecodeError, RecursionError):  # one of them is no JSON
        data = {"type": fact.type}
        for name, value in asdict(fact).items():
            data[name] = value_of(json_text(value)) if isinstance(value, msgspec.Raw) else value
    return data


@dataclass(frozen=True)
class PodView:
    """A pod. ``alive`` depends on its last heartbeat; the oldest live pod is the ``leader``.
    ``ended`` says of a pod that is down whether it left or was declared dead.

    From ``host`` on, it is what the pod told when it joined: ``version`` of its application,
    ``slots`` for steps, ``queues`` and ``task_types`` from which it claims (``None``: all). A pod
    of an earlier FLEET-Q told nothing, not even its ``slots``.
    """

    pod_id: str
    status: PodStatus
    alive: bool
    leader: bool
    birth_ts: str
    last_heartbeat_ts: str
    ended: Literal["left", "declared_dead"] | None = None
    host: str | None = None
    version: str | None = None
    slots: int | None = None
    queues: tuple[str, ...] | None = None
    task_types: tuple[str, ...] | None = None

    @property
    def names_host(self) -> bool:
        """Whether the id begins with the name of the host, as it does by default."""
        return self.host is None or self.pod_id.startswith(self.host)

    @property
    def state(self) -> str:
        """The status in words for people: a pod that is down has left or is dead, and one that is
        not alive is silent."""
        if self.ended is not None:
            return "left" if self.ended == "left" else "dead"
        if not self.alive:
            return f"{self.status}, silent"
        return f"{self.status}, leader" if self.leader else self.status

    @classmethod
    def of(cls, pod: Pod, *, alive: bool, leader: bool, declared_dead: bool = False) -> PodView:
        """Make the view of ``pod``. Raises ``UnknownToThisVersion`` for a newer status."""
        if pod.status not in POD_STATUSES:
            raise UnknownToThisVersion(f"pod {pod.pod_id!r} is {pod.status!r}")
        described = pod.described
        return cls(
            pod_id=pod.pod_id,
            status=pod.status,
            alive=alive,
            leader=leader,
            birth_ts=timestamp(pod.birth_ts),
            last_heartbeat_ts=timestamp(pod.last_heartbeat_ts),
            ended=None if pod.status != "down" else "declared_dead" if declared_dead else "left",
            **({} if described is None else asdict(described)),
        )


@dataclass(frozen=True)
class LeaderView:
    """The leader and the live pods, ``alive_pods``, oldest first."""

    leader_pod_id: str | None
    this_pod_id: str | None
    is_leader: bool
    total_alive_pods: int
    alive_pods: list[str]


@dataclass(frozen=True)
class DeadLettersView:
    """A page of dead letters, newest first; ``before`` is the cursor of the next page, if any."""

    steps: list[StepView]
    before: str | None
