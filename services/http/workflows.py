"""The endpoints that show a workflow, and cancel or retry its steps."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from fleet_q.core.submission import MAX_ID_LENGTH
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.workflows import MOST_STEPS, WorkflowView
from fleet_q.services.http.models import CHANGING, Strict, described

WorkflowId = Annotated[str, Path(min_length=1, max_length=MAX_ID_LENGTH)]


class StepsChanged(Strict):
    """How many steps of a workflow were changed."""

    steps: int


def add_workflows(locked: APIRouter, fleet: FleetQ) -> None:
    """Add the endpoints about workflows."""

    @locked.get("/workflows/{workflow_id:any_id}", responses=described(404, 422))
    def show(
        workflow_id: WorkflowId,
        limit: Annotated[
            int, Query(ge=1, le=MOST_STEPS, description="how many of its steps")
        ] = 1_000,
    ) -> WorkflowView:
        """Return a workflow with its steps; of many, those that failed, those of the critical path,
        those that run, and the first others."""
        return fleet.workflows.show(workflow_id, limit)

    @locked.post("/workflows/{workflow_id:any_id}/cancel", responses=described(*CHANGING, 404))
    def cancel(workflow_id: WorkflowId) -> StepsChanged:
        """Cancel all steps of a workflow that are not final."""
        return StepsChanged(steps=fleet.workflows.cancel(workflow_id))

    @locked.post("/workflows/{workflow_id:any_id}/retry", responses=described(*CHANGING, 404))
    def retry(
        workflow_id: WorkflowId,
        cancelled: Annotated[
            bool, Query(description="also the steps that a user cancelled")
        ] = False,
    ) -> StepsChanged:
        """Replay the steps of a workflow that failed; those that were cancelled because of them
        wait again."""
        return StepsChanged(steps=fleet.workflows.retry(workflow_id, cancelled=cancelled))
