"""The HTTP API of a pod."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

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
    locked = [Depends(_key_checker(fleet.settings.api_keys))]
    _add_health(http, fleet)
    _add_steps(http, fleet, locked)
    _add_admin(http, fleet, locked)
    return http


def _add_health(http: FastAPI, fleet: FleetQ) -> None:
    @http.get("/health", responses={503: {"model": Health}})
    def health(response: Response) -> Health:
        """200 only while the pod's loops turn and the store answers."""
        pod = fleet.pod
        detail = None
        if pod is None or not pod.is_healthy():
            detail = "the pod's loops do not turn"
            if pod is not None and pod.error is not None:
                detail = str(pod.error)
        else:
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


def _add_steps(http: FastAPI, fleet: FleetQ, locked: list[Any]) -> None:
    @http.post("/submit", dependencies=locked)
    def submit(request: SubmitRequest) -> Submitted:
        """Submit a step."""
        return Submitted(step_id=fleet.submit(**request.model_dump()))

    @http.post("/submit/batch", dependencies=locked)
    def submit_batch(request: BatchRequest) -> BatchSubmitted:
        """Submit steps, all of them or none."""
        commands = [fleet.command(**step.model_dump()) for step in request.steps]
        fleet.submit_commands(commands)
        return BatchSubmitted(step_ids=[command.step_id for command in commands])

    @http.get("/status/{step_id:path}", dependencies=locked)
    def status(step_id: str) -> StepView:
        """A step as it is now."""
        return fleet.status(step_id)

    @http.get("/steps/{step_id:path}/history", dependencies=locked)
    def history(step_id: str) -> list[EventView]:
        """All that happened to a step."""
        return fleet.history(step_id)

    @http.post("/steps/{step_id:path}/cancel", dependencies=locked)
    def cancel(step_id: str) -> StepView:
        """Call off a step that has not ended."""
        return fleet.cancel(step_id)


def _add_admin(http: FastAPI, fleet: FleetQ, locked: list[Any]) -> None:
    @http.get("/admin/queue", dependencies=locked)
    def queue() -> dict[str, int]:
        """How many steps there are in each status."""
        return {str(status): count for status, count in fleet.queue().items()}

    @http.get("/admin/leader", dependencies=locked)
    def leader() -> LeaderView:
        """Who leads, and among whom."""
        return fleet.leader()

    @http.get("/admin/pods", dependencies=locked)
    def pods() -> list[PodView]:
        """All pods that ever joined."""
        return fleet.pods()

    @http.post("/admin/recovery/run", dependencies=locked)
    def run_recovery() -> Recovered:
        """Run a recovery cycle now, if this pod leads."""
        lead = fleet.leader()
        if not lead.is_leader:
            raise HTTPException(
                409, f"this pod does not lead; ask {lead.leader_pod_id or 'again when one does'}"
            )
        return Recovered(stats=msgspec.to_builtins(fleet.recover()))

    @http.get("/admin/dlq", dependencies=locked)
    def dead_letters(
        limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 100,
        before: Annotated[str | None, Query(description="the page in front's `before`")] = None,
    ) -> DeadLettersView:
        """The steps that failed for good, newest first."""
        return fleet.dead_letters(limit, before)

    @http.post("/admin/dlq/replay", dependencies=locked)
    def replay(request: ReplayRequest) -> Replayed:
        """Give dead letters all their tries again."""
        if (request.step_ids is None) == (not request.all):
            raise errors.InvalidInput('name "step_ids", or say {"all": true}')
        if request.step_ids is None:
            return Replayed(replayed=fleet.replay_all())
        return Replayed(replayed=len(fleet.replay(request.step_ids)))


def _key_checker(keys: tuple[str, ...]) -> Callable[..., None]:
    encoded = [key.encode() for key in keys]

    def check(
        header: Annotated[str | None, Depends(APIKeyHeader(name="X-API-Key", auto_error=False))],
        bearer: Annotated[
            HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))
        ],
    ) -> None:
        given = (header or (bearer.credentials if bearer else "")).encode()
        # Every key is compared, in constant time, so that no answer comes sooner than another.
        matches = [hmac.compare_digest(given, key) for key in encoded]
        if encoded and not any(matches):
            raise HTTPException(
                401, "an API key is needed: X-API-Key", headers={"WWW-Authenticate": "Bearer"}
            )

    return check


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
