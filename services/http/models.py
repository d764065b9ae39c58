"""The request and response models of the HTTP API, besides the views of the app."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import Path
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from fleet_q.core.dependencies import MAX_PARENTS, Kind
from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.queues import MOST_RUNNING
from fleet_q.core.settings import MAX_SECONDS
from fleet_q.core.step import OnConflict
from fleet_q.core.submission import MAX_ID_LENGTH, MAX_LABELS, MAX_PRIORITY, MAX_RETRIES
from fleet_q.services.app.bulk import SUBMIT_BATCH

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
StepId = Annotated[str, Path(min_length=1, max_length=MAX_ID_LENGTH)]
QueueName = Annotated[str, Path(min_length=1, max_length=MAX_ID_LENGTH)]


class Strict(BaseModel):
    """A request whose fields have exactly their types, and no others."""

    model_config = ConfigDict(strict=True, extra="forbid")


def _check_after(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """One error for all forms of ``after``, instead of one for each."""
    try:
        return check(value)
    except ValidationError:
        raise PydanticCustomError(
            "after",
            "must be the id of a step, a list of ids, or an object with 'success' or 'finished'"
            " by id",
        ) from None


After = Annotated[Id | list[Id] | dict[Id, Kind], WrapValidator(_check_after)]


class SubmitRequest(Strict):
    """A step to submit."""

    payload: dict[str, Any] = Field(examples=[{"task_type": "process_data", "file": "data.csv"}])
    priority: int = Field(
        0,
        ge=-MAX_PRIORITY,
        le=MAX_PRIORITY,
        description="steps of higher priority are claimed first",
    )
    step_id: Id | None = Field(None, description="your own id; makes submitting idempotent")
    delay: float = Field(0, ge=0, le=MAX_SECONDS, description="seconds until it can be claimed")
    max_retries: int | None = Field(
        None, ge=0, le=MAX_RETRIES, description="retries after the first attempt"
    )
    queue: Id = Field(DEFAULT_QUEUE, description="the queue that it waits in")
    key: Id | None = Field(None, description="what it belongs to in its queue, such as a customer")
    unique_key: Id | None = Field(
        None, description="no other step is stored with it while the step is not final"
    )
    unique_for: float | None = Field(
        None, ge=0, le=MAX_SECONDS, description="and for so many seconds after its submission"
    )
    on_conflict: OnConflict = Field(
        "existing",
        description="if another step has the unique key: return its id, replace it, or answer 409",
    )
    labels: dict[str, str] | None = Field(
        None,
        max_length=MAX_LABELS,
        description="texts by name, to find it by",
        examples=[{"day": "2026-11-28"}],
    )
    timeout: float | None = Field(
        None, gt=0, le=MAX_SECONDS, description="how many seconds its function may take"
    )
    start_by: float | None = Field(
        None,
        gt=0,
        le=MAX_SECONDS,
        description="seconds within which it must begin; else it is cancelled as expired",
    )
    after: After | None = Field(
        None,
        max_length=MAX_PARENTS,
        description="the steps that must be completed before, or finished in any way, by id",
        examples=["extract", ["extract"], {"extract": "success", "clean up": "finished"}],
    )


class BatchRequest(Strict):
    """Steps to submit, all of them or none."""

    steps: list[SubmitRequest] = Field(min_length=1, max_length=SUBMIT_BATCH)


class Submitted(BaseModel):
    """The step is stored."""

    step_id: str
    status: Literal["submitted"] = "submitted"


class BatchSubmitted(BaseModel):
    """The steps are stored, their ids in order."""

    step_ids: list[str]
    status: Literal["submitted"] = "submitted"


class ReplayRequest(Strict):
    """Which dead letters to replay: those of ``step_ids``, or all."""

    step_ids: list[Id] | None = Field(None, min_length=1, max_length=SUBMIT_BATCH)
    all: bool = False


class QueueRequest(Strict):
    """The limits of a queue to set; those that are absent stay as they are, null is no limit."""

    max_running: int | None = Field(
        None, ge=1, le=MOST_RUNNING, description="steps claimed at once in the fleet"
    )
    max_running_per_key: int | None = Field(
        None, ge=1, le=MOST_RUNNING, description="the same, of steps with one key"
    )
    rate: str | None = Field(None, description="claims over time", examples=["100/min"])
    paused: bool = Field(False, description="no step is claimed while it is true")


class Replayed(BaseModel):
    """The number of steps replayed."""

    replayed: int


class Recovered(BaseModel):
    """The numbers of a recovery cycle."""

    message: str = "Recovery cycle completed successfully"
    stats: dict[str, int]


class Health(BaseModel):
    """Whether the pod is healthy."""

    status: Literal["ok", "unavailable"]
    pod_id: str | None
    detail: str | None = None


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Problem(BaseModel):
    """What is wrong, in one line."""

    detail: str


_PROBLEMS: Final = {
    400: "The request is malformed HTTP.",
    401: "An API key is required.",
    403: "The key's role does not allow it, or a web page of another origin asks for it.",
    404: "There is no such step.",
    409: "The state of the step or of the pod does not allow it.",
    413: "The body is too large.",
    415: "The Content-Type is not JSON.",
    421: "The Host is not one of FLEET_Q_ALLOWED_HOSTS.",
    422: "A value is invalid.",
    503: "The store does not answer; try again.",
}

CHANGING: Final = (403, 413, 415, 422)
"""The error statuses of every request that changes something."""


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of these error statuses."""
    return {
        status: {"model": Problem, "description": _PROBLEMS[status]} for status in sorted(statuses)
    }
