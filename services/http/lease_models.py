"""The request and response models of the endpoints with which clients claim and end steps."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, JsonValue

from fleet_q.core.settings import MAX_SECONDS
from fleet_q.core.step import Step
from fleet_q.core.stored_json import labels_of, object_of
from fleet_q.services.app.checkpoint import MAX_PROGRESS_LENGTH, saved_of
from fleet_q.services.app.consumer import MOST_CLAIMED
from fleet_q.services.app.description import LONGEST_ERROR
from fleet_q.services.app.leases import LEASE, LONGEST_LEASE, SHORTEST_LEASE
from fleet_q.services.http.models import Id, Strict

LONGEST_WAIT = 60.0
"""Seconds; shorter than proxies usually let a request take."""

MOST_NAMES = 1_000
"""The most queues and task types that a request may name."""


class ClaimRequest(Strict):
    """Which steps to claim."""

    n: int = Field(1, ge=1, le=MOST_CLAIMED, description="how many at most")
    wait: float = Field(
        0, ge=0, le=LONGEST_WAIT, description="seconds to wait until there is at least one"
    )
    lease: float = Field(
        LEASE,
        ge=SHORTEST_LEASE,
        le=LONGEST_LEASE,
        description="seconds without a heartbeat after which a step is retried",
    )
    queues: list[Id] | None = Field(
        None, min_length=1, max_length=MOST_NAMES, description="only from these queues"
    )
    task_types: list[Id | Literal[""]] | None = Field(
        None,
        min_length=1,
        max_length=MOST_NAMES,
        description="only steps of these types; an empty text is the type of those without one",
    )


class LeasedStep(BaseModel):
    """A claimed step. Requests that end its claim carry its ``claim_token``. ``saved`` is what was
    saved of it last, under an earlier claim."""

    step_id: str
    claim_token: str
    payload: dict[str, Any]
    task_type: str | None
    queue: str
    key: str | None
    labels: dict[str, str]
    priority: int
    attempt: int
    max_retries: int
    saved: Any

    @classmethod
    def of(cls, step: Step) -> LeasedStep:
        """Make the view of a claimed step."""
        assert step.claim_token is not None
        return cls(
            step_id=step.step_id,
            claim_token=step.claim_token,
            payload=object_of(step.payload),
            task_type=step.task_type or None,
            queue=step.queue,
            key=step.key,
            labels=labels_of(step.labels),
            priority=step.priority,
            attempt=step.attempt,
            max_retries=step.max_retries,
            saved=saved_of(step),
        )


class Claimed(BaseModel):
    """The claimed steps, first in the queue first; none if there was none in time."""

    steps: list[LeasedStep]


class CompleteRequest(Strict):
    """The step is done."""

    claim_token: Id
    result: JsonValue = None


class FailRequest(Strict):
    """The attempt failed."""

    claim_token: Id
    error: str = Field(description=f"stored up to {LONGEST_ERROR} bytes")
    permanent: bool = Field(False, description="make it a dead letter although tries are left")


class ReleaseRequest(Strict):
    """The step is to be done by somebody else."""

    claim_token: Id
    delay: float = Field(0, ge=0, le=MAX_SECONDS, description="seconds until it can be claimed")


class SnoozeRequest(Strict):
    """The step is to be done later."""

    claim_token: Id
    seconds: float = Field(ge=0, le=MAX_SECONDS, description="until it can be claimed")


class CheckpointRequest(Strict):
    """Who claims the step later goes on from here."""

    claim_token: Id
    value: JsonValue


class Progress(Strict):
    """How far the client is."""

    fraction: float | None = Field(None, ge=0, le=1)
    text: str | None = Field(None, max_length=MAX_PROGRESS_LENGTH, description="what it does")


class HeartbeatRequest(Strict):
    """The client still works on the step."""

    claim_token: Id
    lease: float | None = Field(
        None,
        ge=SHORTEST_LEASE,
        le=LONGEST_LEASE,
        description="seconds from now; by default those of the claim",
    )
    progress: Progress | None = None


class Ended(BaseModel):
    """The end of the claim is stored."""

    step_id: str
    status: Literal["completed", "failed", "released", "snoozed"]


class Saved(BaseModel):
    """The value is stored."""

    step_id: str


class Renewed(BaseModel):
    """The lease ends in ``lease`` seconds."""

    step_id: str
    lease: float
