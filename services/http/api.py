"""The HTTP API of a pod: its endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from pydantic import JsonValue

from fleet_q.core import errors
from fleet_q.services.app.admin import LONGEST_PAGE
from fleet_q.services.app.alerts import AlertView
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.hosts import ANY
from fleet_q.services.app.keys import Keys
from fleet_q.services.app.queue_stats import QueueStatsView
from fleet_q.services.app.queues import QueueEventView, QueueView
from fleet_q.services.app.views import DeadLettersView, EventView, LeaderView, PodView, StepView
from fleet_q.services.http.access import Access
from fleet_q.services.http.audit import add_audit
from fleet_q.services.http.base import base_http
from fleet_q.services.http.dashboard import add_dashboard
from fleet_q.services.http.health import HealthCheck
from fleet_q.services.http.leases import add_leases
from fleet_q.services.http.metrics import add_metrics
from fleet_q.services.http.models import (
    CHANGING,
    BatchRequest,
    BatchSubmitted,
    Health,
    QueueName,
    QueueRequest,
    Recovered,
    Replayed,
    ReplayRequest,
    StepId,
    SubmitRequest,
    Submitted,
    described,
)
from fleet_q.services.http.route import locked_router
from fleet_q.services.http.schedules import add_schedules
from fleet_q.services.http.steps import add_steps
from fleet_q.services.http.traces import TraceParent, in_trace
from fleet_q.services.http.workflows import add_workflows

CURSOR: Final[dict[str, JsonValue]] = {"pattern": "^-?[0-9]{1,18}:."}


def create_http(
    fleet: FleetQ,
    *,
    allowed_hosts: Sequence[str] | None = None,
    lease: bool = False,
    dashboard: bool = False,
) -> FastAPI:
    """Return the HTTP API of ``fleet``, whose pod runs in this process (``FleetQ.running``) or not.

    With ``FLEET_Q_API_KEYS`` set, everything but ``/health`` and the documentation requires one
    of them, as ``X-API-Key`` or as a bearer token. ``allowed_hosts`` are the hosts that requests
    may name in ``Host``; by default those of ``FLEET_Q_ALLOWED_HOSTS`` or, if it is unset, any,
    because a service that mounts the API has hosts of its own. With ``lease``, clients claim steps
    and end them; the pod is that of ``FleetQ.leasing``. With ``dashboard``, there are pages for
    browsers at ``/`` and below ``/dashboard/``.
    """
    settings = fleet.settings
    access = Access(Keys(settings.api_keys, settings.api_keys_file))
    hosts = settings.allowed_hosts or (ANY,) if allowed_hosts is None else allowed_hosts
    http = base_http(
        settings,
        access,
        hosts,
        title="FLEET-Q",
        summary="A brokerless distributed task queue.",
        forms=dashboard,
    )
    _add_health(http, fleet, access)
    locked = locked_router(access)
    _add_steps(locked, fleet)
    add_steps(locked, fleet)
    add_workflows(locked, fleet)
    _add_queues(locked, fleet)
    add_schedules(locked, fleet)
    if lease:
        add_leases(locked, fleet)
    _add_admin(locked, fleet)
    add_audit(locked, fleet)
    add_metrics(locked, fleet)
    http.include_router(locked)
    if dashboard:
        add_dashboard(http, fleet, access)
    return http


def _add_health(http: FastAPI, fleet: FleetQ, access: Access) -> None:
    check = HealthCheck(fleet)

    @http.get("/health", responses={503: {"model": Health}})
    async def health(request: Request, response: Response) -> Health:
        """200 while the pod runs, can start functions, and the store answers; else 503."""
        pod, trouble = fleet.pod, await check.trouble()
        detail = None
        if trouble is not None:
            response.status_code = 503
            detail = trouble.full if access.sees_details(request.headers) else trouble.general
        return Health(
            status="ok" if detail is None else "unavailable",
            pod_id=pod.pod_id if pod is not None else None,
            detail=detail,
        )


def _add_steps(locked: APIRouter, fleet: FleetQ) -> None:
    @locked.post("/submit", responses=described(*CHANGING, 409))
    def submit(request: SubmitRequest, traceparent: TraceParent = None) -> Submitted:
        """Submit a step."""
        options = request.model_dump()
        with in_trace(fleet, [options], traceparent):
            return Submitted(step_id=fleet.submit(**options))

    @locked.post("/submit/batch", responses=described(*CHANGING, 409))
    def submit_batch(request: BatchRequest, traceparent: TraceParent = None) -> BatchSubmitted:
        """Submit steps, all of them or none."""
        steps = [step.model_dump() for step in request.steps]
        commands = []
        with in_trace(fleet, steps, traceparent):
            for number, options in enumerate(steps):
                try:
                    commands.append(fleet.command(**options))
                except errors.InvalidInput as error:
                    raise errors.InvalidInput(f"steps.{number}: {error}") from None
            return BatchSubmitted(step_ids=fleet.submit_together(commands))

    @locked.get("/status/{step_id:any_id}", responses=described(404, 422))
    def status(step_id: StepId) -> StepView:
        """Return a step as it is now."""
        return fleet.status(step_id)

    @locked.get("/steps/{step_id:any_id}/history", responses=described(404, 422))
    def history(step_id: StepId) -> list[EventView]:
        """Return the events of a step, oldest first."""
        return fleet.history(step_id)

    @locked.post("/steps/{step_id:any_id}/cancel", responses=described(*CHANGING, 404, 409))
    def cancel(step_id: StepId) -> StepView:
        """Cancel a step that has not ended."""
        return fleet.cancel(step_id)


def _add_queues(locked: APIRouter, fleet: FleetQ) -> None:
    @locked.get("/queues")
    def queues() -> list[QueueView]:
        """List the queues that have, or had, limits."""
        return fleet.queues.all()

    @locked.put("/queues/{name:any_id}", responses=described(*CHANGING))
    def set_queue(name: QueueName, request: QueueRequest) -> QueueView:
        """Set limits of a queue."""
        return fleet.queues.set(name, **request.model_dump(exclude_unset=True))

    @locked.post("/queues/{name:any_id}/pause", responses=described(*CHANGING))
    def pause(name: QueueName) -> QueueView:
        """Let no step of a queue be claimed; those that run go on."""
        return fleet.queues.pause(name)

    @locked.post("/queues/{name:any_id}/resume", responses=described(*CHANGING))
    def resume(name: QueueName) -> QueueView:
        """Let steps of a queue be claimed again, within its limits."""
        return fleet.queues.resume(name)

    @locked.get("/queues/{name:any_id}/history", responses=described(422))
    def queue_history(name: QueueName) -> list[QueueEventView]:
        """Return the changes of a queue's limits, oldest first."""
        return fleet.queues.history(name)


def _add_admin(locked: APIRouter, fleet: FleetQ) -> None:
    @locked.get("/admin/queue")
    def queue() -> QueueStatsView:
        """Count the steps in each status, and by queue and task type."""
        return fleet.queue_stats()

    @locked.get("/admin/leader")
    def leader() -> LeaderView:
        """Return the leader and the live pods."""
        return fleet.leader()

    @locked.get("/admin/alerts")
    def alerts(
        all: Annotated[bool, Query(description="also those of the last 30 days that are over")] = (
            False
        ),
    ) -> list[AlertView]:
        """List the alerts that are raised."""
        return fleet.alerts(only_raised=not all)

    @locked.get("/admin/pods")
    def pods(
        all: Annotated[
            bool, Query(description="also those that have left, are dead or are silent")
        ] = False,
    ) -> list[PodView]:
        """List the live pods, oldest first; with ``all``, then all others that were not pruned."""
        return fleet.pods(only_live=not all)

    @locked.post("/admin/recovery/run", responses=described(*CHANGING, 409))
    def run_recovery() -> Recovered:
        """Run a recovery cycle now, if this pod is the leader."""
        view = fleet.leader()
        if not view.is_leader:
            leading = view.leader_pod_id
            advice = f"ask {leading}" if leading is not None else "there is none; try again later"
            raise HTTPException(409, f"this pod is not the leader; {advice}")
        return Recovered(stats=msgspec.to_builtins(fleet.recover()))

    @locked.get("/admin/dlq", responses=described(422))
    def dead_letters(
        limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 100,
        before: Annotated[
            str | None,
            Query(description="the `before` of the previous page", json_schema_extra=CURSOR),
        ] = None,
    ) -> DeadLettersView:
        """List dead letters, newest first."""
        return fleet.dead_letters(limit, before)

    @locked.post("/admin/dlq/replay", responses=described(*CHANGING, 404, 409))
    def replay(request: ReplayRequest) -> Replayed:
        """Make dead letters pending again, with all their tries."""
        if (request.step_ids is None) == (not request.all):
            raise errors.InvalidInput('send either "step_ids" or {"all": true}')
        if request.step_ids is None:
            return Replayed(replayed=fleet.replay_all())
        return Replayed(replayed=len(fleet.replay(request.step_ids)))
