"""What the HTTP API takes and gives besides the views: the shapes in its OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from fleet_q.core.settings import MAX_SECONDS
from fleet_q.core.submission import MAX_ID_LENGTH, MAX_PRIORITY, MAX_RETRIES
from fleet_q.services.app.bulk import SUBMIT_BATCH

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class SubmitRequest(_Strict):
    """A step to submit."""

    payload: dict[str, Any] = Field(examples=[{"task_type": "process_data", "file": "data.csv"}])
    priority: int = Field(0, ge=-MAX_PRIORITY, le=MAX_PRIORITY, description="higher goes first")
    step_id: Id | None = Field(None, description="your own id, to submit again without harm")
    delay: float = Field(0, ge=0, le=MAX_SECONDS, description="seconds until it may be claimed")
    max_retries: int | None = Field(None, ge=0, le=MAX_RETRIES, description="tries after the first")


class BatchRequest(_Strict):
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


class ReplayRequest(_Strict):
    """Which dead letters to replay: those named, or all."""

    step_ids: list[Id] | None = Field(None, min_length=1, max_length=SUBMIT_BATCH)
    all: bool = False


class Replayed(BaseModel):
    """How many steps have all their tries again."""

    replayed: int


class Recovered(BaseModel):
    """A recovery cycle and what it did."""

    message: str = "Recovery cycle completed successfully"
    stats: dict[str, int]


class Health(BaseModel):
    """Whether the pod is fit."""

    status: Literal["ok", "unavailable"]
    pod_id: str | None
    detail: str | None = None


class Problem(BaseModel):
    """What is wrong, in one line."""

    detail: str


_PROBLEMS: Final = {
    400: "The request is not HTTP that can be read.",
    401: "A key is needed.",
    403: "It comes from a web page of another origin.",
    404: "There is no such step.",
    409: "The state of a step, or of the pod, forbids it.",
    413: "The body is too large.",
    415: "The body is not announced as JSON.",
    421: "The pod does not answer to this Host.",
    422: "A value is wrong.",
    503: "The store does not answer; to be tried again.",
}

CHANGING: Final = (403, 413, 415, 422)
"""What any request that changes something may be answered."""


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI description of these answers."""
    return {
        status: {"model": Problem, "description": _PROBLEMS[status]} for status in sorted(statuses)
    }
