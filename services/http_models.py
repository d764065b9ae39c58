"""What the HTTP API takes and gives besides the views: the shapes in its OpenAPI description."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fleet_q.services.app import SUBMIT_BATCH


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class SubmitRequest(_Strict):
    """A step to submit."""

    payload: dict[str, Any] = Field(examples=[{"task_type": "process_data", "file": "data.csv"}])
    priority: int = Field(0, description="higher goes first")
    step_id: str | None = Field(None, description="your own id, to submit again without harm")
    delay: float = Field(0, description="seconds until it may be claimed")
    max_retries: int | None = Field(None, description="tries after the first")


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

    step_ids: list[str] | None = Field(None, min_length=1, max_length=SUBMIT_BATCH)
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
