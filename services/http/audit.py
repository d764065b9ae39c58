"""The endpoint that tells what happened, and who did it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.audit import LONGEST_AUDIT, AuditView
from fleet_q.services.app.moments import parse_moment
from fleet_q.services.http.models import Id, described
from fleet_q.services.http.steps import Time


def add_audit(locked: APIRouter, fleet: FleetQ) -> None:
    """Add the endpoint about the log."""

    @locked.get("/admin/audit", responses=described(422))
    def audit(
        since: Time | None = None,
        until: Time | None = None,
        by: Id | None = None,
        step_id: Id | None = None,
        queue: Id | None = None,
        limit: Annotated[int, Query(ge=1, le=LONGEST_AUDIT)] = 100,
        cursor: Annotated[
            str | None, Query(description="the `cursor` of the previous page")
        ] = None,
        newest_first: bool = True,
    ) -> AuditView:
        """Return what happened and who did it, the latest first."""
        return fleet.audit(
            since=None if since is None else parse_moment(since),
            until=None if until is None else parse_moment(until),
            by=by,
            step_id=step_id,
            queue=queue,
            limit=limit,
            cursor=cursor,
            newest_first=newest_first,
        )
