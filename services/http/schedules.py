"""The endpoints about schedules."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.schedules import MAX_NAME_LENGTH, Missed, Overlap
from fleet_q.core.settings import MAX_SECONDS
from fleet_q.core.submission import MAX_LABELS, MAX_PRIORITY, MAX_RETRIES
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.schedules import (
    MOST_TIMES,
    WEEK,
    ScheduleEventView,
    ScheduleView,
)
from fleet_q.services.http.models import CHANGING, Id, Strict, described

ScheduleName = Annotated[str, Path(min_length=1, max_length=MAX_NAME_LENGTH)]


class ScheduleRequest(Strict):
    """A schedule to make or change: either ``cron`` or ``every``."""

    payload: dict[str, Any] = Field(examples=[{"task_type": "report"}])
    cron: str | None = Field(None, description="five fields as in crontab", examples=["0 2 * * *"])
    every: float | None = Field(
        None, ge=0, le=MAX_SECONDS, description="seconds, counted from 1970-01-01 in UTC"
    )
    tz: str = Field("UTC", description="the time zone of cron", examples=["Europe/Berlin"])
    overlap: Overlap = Field(
        "skip",
        description="if the last step has not ended: submit none, one that waits for it, or more",
    )
    missed: Missed = Field("latest", description="which times that passed without a pod fire later")
    window: float = Field(WEEK, ge=0, le=MAX_SECONDS, description="how many seconds ago, at most")
    queue: Id = Field(DEFAULT_QUEUE, description="the queue that its steps wait in")
    priority: int = Field(0, ge=-MAX_PRIORITY, le=MAX_PRIORITY)
    max_retries: int | None = Field(None, ge=0, le=MAX_RETRIES)
    key: Id | None = None
    labels: dict[str, str] | None = Field(None, max_length=MAX_LABELS)
    timeout: float | None = Field(None, gt=0, le=MAX_SECONDS)


class Triggered(BaseModel):
    """The step that a schedule submitted."""

    step_id: str


def add_schedules(locked: APIRouter, fleet: FleetQ) -> None:
    """Add the endpoints about the schedules of ``fleet``."""

    @locked.get("/schedules")
    def schedules() -> list[ScheduleView]:
        """List the schedules."""
        return fleet.schedules.all()

    @locked.put("/schedules/{name:any_id}", responses=described(*CHANGING))
    def put_schedule(name: ScheduleName, request: ScheduleRequest) -> ScheduleView:
        """Make or change a schedule, which submits a step at its times."""
        return fleet.schedules.put(name, **request.model_dump())

    @locked.delete("/schedules/{name:any_id}", responses=described(*CHANGING, 404))
    def delete_schedule(name: ScheduleName) -> ScheduleView:
        """Delete a schedule; its steps stay."""
        return fleet.schedules.delete(name)

    @locked.post("/schedules/{name:any_id}/pause", responses=described(*CHANGING, 404))
    def pause_schedule(name: ScheduleName) -> ScheduleView:
        """Let a schedule fire no more until it is resumed."""
        return fleet.schedules.pause(name)

    @locked.post("/schedules/{name:any_id}/resume", responses=described(*CHANGING, 404))
    def resume_schedule(name: ScheduleName) -> ScheduleView:
        """Let a paused schedule fire again, from its next time on."""
        return fleet.schedules.resume(name)

    @locked.post("/schedules/{name:any_id}/trigger", responses=described(*CHANGING, 404, 409))
    def trigger_schedule(name: ScheduleName) -> Triggered:
        """Fire a schedule now."""
        return Triggered(step_id=fleet.schedules.trigger(name))

    @locked.get("/schedules/{name:any_id}/next", responses=described(404, 422))
    def next_times(
        name: ScheduleName, count: Annotated[int, Query(ge=1, le=MOST_TIMES)] = 5
    ) -> list[str]:
        """Return the next times of a schedule, in UTC."""
        return fleet.schedules.next(name, count)

    @locked.get("/schedules/{name:any_id}/history", responses=described(404, 422))
    def schedule_history(name: ScheduleName) -> list[ScheduleEventView]:
        """Return the changes of a schedule, oldest first."""
        return fleet.schedules.history(name)
