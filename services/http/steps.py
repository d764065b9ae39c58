"""The endpoints that list steps, and change those that a filter selects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, HTTPException, Query
from pydantic import Field

from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.submission import MAX_ID_LENGTH, MAX_LABELS, MAX_PRIORITY
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.labels import parse_labels
from fleet_q.services.app.moments import parse_moment
from fleet_q.services.app.search import LONGEST_LIST, StepsView
from fleet_q.services.http.access import current_holder
from fleet_q.services.http.models import CHANGING, Id, Strict, described

MOST_TEXTS: Final = 100
"""The most texts of one condition."""

Time = Annotated[
    str,
    Field(max_length=MAX_ID_LENGTH, description="how long ago, or a time in UTC", examples=["2h"]),
]


class Selection(Strict):
    """Which steps: those that meet all conditions that are given."""

    status: list[StepStatus] | None = Field(None, max_length=MOST_TEXTS)
    task_type: list[Id] | None = Field(None, max_length=MOST_TEXTS)
    queue: list[Id] | None = Field(None, max_length=MOST_TEXTS)
    key: list[Id] | None = Field(None, max_length=MOST_TEXTS)
    labels: dict[str, str] | None = Field(None, max_length=MAX_LABELS)
    pod_id: Id | None = None
    workflow_id: Id | None = None
    id_prefix: Id | None = None
    since: Time | None = None
    until: Time | None = None


class ChangeRequest(Selection):
    """The steps to change. A ``dry_run`` only counts them."""

    dry_run: bool = False


class PriorityRequest(ChangeRequest):
    """The steps whose priority to change."""

    priority: int = Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)


class Changed(Strict):
    """How many steps were changed or, in a dry run, would be."""

    steps: int
    dry_run: bool


def add_steps(locked: APIRouter, fleet: FleetQ) -> None:
    """Add the endpoints about many steps."""

    @locked.get("/steps", responses=described(422))
    def list_steps(
        status: Annotated[list[StepStatus] | None, Query(max_length=MOST_TEXTS)] = None,
        task_type: Annotated[list[Id] | None, Query(max_length=MOST_TEXTS)] = None,
        queue: Annotated[list[Id] | None, Query(max_length=MOST_TEXTS)] = None,
        key: Annotated[list[Id] | None, Query(max_length=MOST_TEXTS)] = None,
        label: Annotated[list[str] | None, Query(max_length=MAX_LABELS)] = None,
        pod_id: Id | None = None,
        workflow_id: Id | None = None,
        id_prefix: Id | None = None,
        since: Time | None = None,
        until: Time | None = None,
        limit: Annotated[int, Query(ge=1, le=LONGEST_LIST)] = 100,
        cursor: Annotated[
            str | None, Query(description="the `cursor` of the previous page")
        ] = None,
    ) -> StepsView:
        """List steps, the latest submission first. A list with a `cursor` may go on, even if it has
        fewer steps than asked for. To select by `key` or `label`, a key must see payloads."""
        if (key or label) and not current_holder().sees_payloads:
            raise HTTPException(
                403, "this key sees no keys and labels, so it cannot select by them"
            )
        selection = Selection(
            status=status,
            task_type=task_type,
            queue=queue,
            key=key,
            labels=parse_labels(label or []),
            pod_id=pod_id,
            workflow_id=workflow_id,
            id_prefix=id_prefix,
            since=since,
            until=until,
        )
        return fleet.steps(limit=limit, cursor=cursor, **_conditions(selection))

    @locked.post("/steps/cancel", responses=described(*CHANGING))
    def cancel(request: ChangeRequest) -> Changed:
        """Cancel the selected steps that have not ended."""
        return _changed(fleet.cancel_steps, request)

    @locked.post("/steps/replay", responses=described(*CHANGING))
    def replay(request: ChangeRequest) -> Changed:
        """Replay the selected dead letters or, if `status` names them, cancelled steps."""
        return _changed(fleet.replay_steps, request)

    @locked.post("/steps/set-priority", responses=described(*CHANGING))
    def set_priority(request: PriorityRequest) -> Changed:
        """Set the priority of the selected steps that are pending."""
        return _changed(partial(fleet.reprioritize_steps, request.priority), request)


def _changed(change: Callable[..., int], request: ChangeRequest) -> Changed:
    count = change(dry_run=request.dry_run, **_conditions(request))
    return Changed(steps=count, dry_run=request.dry_run)


def _conditions(selection: Selection) -> dict[str, Any]:
    conditions = selection.model_dump(include=set(Selection.model_fields), exclude_none=True)
    for name in ("since", "until"):
        if name in conditions:
            conditions[name] = parse_moment(conditions[name])
    return conditions
