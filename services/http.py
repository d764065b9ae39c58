"""The HTTP API of a pod."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from fleet_q.core import errors
from fleet_q.services.app import LONGEST_PAGE, FleetQ
from fleet_q.services.http_limit import BodyLimit
from fleet_q.services.http_models import (
    BatchRequest,
    BatchSubmitted,
    Health,
    Problem,
    Recovered,
    Replayed,
    ReplayRequest,
    SubmitRequest,
    Submitted,
)
from fleet_q.services.http_route import locked_router
from fleet_q.services.views import DeadLettersView, EventView, LeaderView, PodView, StepView

_STATUS_OF: list[tuple[type[errors.FleetQError], int]] = [
    (errors.UnknownStep, 404),
    (errors.StepConflict, 409),
    (errors.IllegalTransition, 409),
    (errors.InvalidInput, 422),
    (errors.StoreUnavailable, 503),
    (errors.FleetQError, 500),
]


def create_http(fleet: FleetQ) -> FastAPI:
    """The API over ``fleet``, whose pod may run here (see ``FleetQ.running``) or not.

    With ``FLEET_Q_API_KEYS`` set, everything but ``/health`` and the documentation asks for one
    of them, as ``X-API-Key`` or as a bearer token.
    """
    http = FastAPI(
        title="FLEET-Q",
        summary="A brokerless distributed task queue.",
        responses={status: {"model": Problem} for status in (401, 404, 409, 413, 422, 503)},
    )
    http.add_middleware(BodyLimit, most=fleet.settings.max_payload_bytes)
    for error, status in _STATUS_OF:
        http.add_exception_handler(error, _answering(status))
    http.add_exception_handler(RequestValidationError, _explain)
    _add_health(http, fleet)
    locked = locked_router(fleet.settings.api_keys)
    _add_steps(locked, fleet)
    _add_admin(locked, fleet)
    http.include_router(locked)
    return http


def _add_health(http: FastAPI, fleet: FleetQ) -> None:
    @http.get("/health", responses={503: {"model": Health}})
    def health(response: Response) -> Health:
        """200 only while the pod runs, can begin functions, and the store answers."""
        pod = fleet.pod
        detail = "no pod runs here" if pod is None else pod.trouble
        if detail is None:
            try:
                fleet.store.bell()  # which is free, so that probes keep no warehouse awake
            except errors.FleetQError as error:
                detail = f"the store does not answer: {error}"
        if detail is not None:
            response.status_code = 503
        return Health(
            status="ok" if detail is None else "unavailable",
            pod_id=pod.pod_id if pod is not None else None,
            detail=detail,
        )


def _add_steps(locked: APIRouter, fleet: FleetQ) -> None:
    @locked.post("/submit")
    def submit(request: SubmitRequest) -> Submitted:
        """Submit a step."""
        return Submitted(step_id=fleet.submit(**request.model_dump()))

    @locked.post("/submit/batch")
    def submit_batch(request: BatchRequest) -> BatchSubmitted:
        """Submit steps, all of them or none."""
        commands = [fleet.command(**step.model_dump()) for step in request.steps]
        fleet.submit_commands(commands)
        return BatchSubmitted(step_ids=[command.step_id for command in commands])

    @locked.get("/status/{step_id:any_id}")
    def status(step_id: str) -> StepView:
        """A step as it is now."""
        return fleet.status(step_id)

    @locked.get("/steps/{step_id:any_id}/history")
    def history(step_id: str) -> list[EventView]:
        """All that happened to a step."""
        return fleet.history(step_id)

    @locked.post("/steps/{step_id:any_id}/cancel")
    def cancel(step_id: str) -> StepView:
        """Call off a step that has not ended."""
        return fleet.cancel(step_id)


def _add_admin(locked: APIRouter, fleet: FleetQ) -> None:
    @locked.get("/admin/queue")
    def queue() -> dict[str, int]:
        """How many steps there are in each status."""
        return {str(status): count for status, count in fleet.queue().items()}

    @locked.get("/admin/leader")
    def leader() -> LeaderView:
        """Who leads, and among whom."""
        return fleet.leader()

    @locked.get("/admin/pods")
    def pods() -> list[PodView]:
        """All pods that ever joined."""
        return fleet.pods()

    @locked.post("/admin/recovery/run")
    def run_recovery() -> Recovered:
        """Run a recovery cycle now, if this pod leads."""
        lead = fleet.leader()
        if not lead.is_leader:
            raise HTTPException(
                409, f"this pod does not lead; ask {lead.leader_pod_id or 'again when one does'}"
            )
        return Recovered(stats=msgspec.to_builtins(fleet.recover()))

    @locked.get("/admin/dlq")
    def dead_letters(
        limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 100,
        before: Annotated[str | None, Query(description="the page in front's `before`")] = None,
    ) -> DeadLettersView:
        """The steps that failed for good, newest first."""
        return fleet.dead_letters(limit, before)

    @locked.post("/admin/dlq/replay")
    def replay(request: ReplayRequest) -> Replayed:
        """Give dead letters all their tries again."""
        if (request.step_ids is None) == (not request.all):
            raise errors.InvalidInput('name "step_ids", or say {"all": true}')
        if request.step_ids is None:
            return Replayed(replayed=fleet.replay_all())
        return Replayed(replayed=len(fleet.replay(request.step_ids)))


def _answering(status: int) -> Callable[[Request, Exception], Response]:
    def answer(_: Request, error: Exception) -> Response:
        headers = {"Retry-After": "1"} if status == 503 else None
        return JSONResponse({"detail": str(error)}, status, headers)

    return answer


def _explain(_: Request, error: Exception) -> Response:
    """Say what is wrong in one line, without repeating what was sent."""
    assert isinstance(error, RequestValidationError)
    problems = []
    for problem in error.errors():
        if problem["type"] == "json_invalid":
            reason = problem.get("ctx", {}).get("error", "it cannot be read")
            problems.append(f"the body is not JSON: {reason}")
            continue
        where = ".".join(str(part) for part in problem["loc"] if part != "body")
        problems.append(f"{where or 'the body'}: {problem['msg']}")
    return JSONResponse({"detail": "; ".join(problems)}, 422)
