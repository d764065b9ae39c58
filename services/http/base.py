"""What every HTTP API of FLEET-Q has: its protection, and its answers to errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from fleet_q.core import errors
from fleet_q.services.app.hosts import ANY
from fleet_q.services.app.settings import Settings
from fleet_q.services.http.access import Access
from fleet_q.services.http.guard import Guard
from fleet_q.services.http.head import HeadLikeGet
from fleet_q.services.http.limit import BodyLimit
from fleet_q.services.http.models import described
from fleet_q.services.worker.careful_log import CarefulLogger
from fleet_q.services.worker.escapes import one_line

log = CarefulLogger("fleet_q.http")

_STATUS_OF: list[tuple[type[errors.FleetQError], int]] = [
    (errors.UnknownStep, 404),
    (errors.UnknownWorkflow, 404),
    (errors.UnknownSchedule, 404),
    (errors.LastStepNotEnded, 409),
    (errors.StepConflict, 409),
    (errors.UniqueKeyTaken, 409),
    (errors.IllegalTransition, 409),
    (errors.ParentNotReplayed, 409),
    (errors.ClaimLost, 409),
    (errors.InvalidInput, 422),
    (errors.StoreUnavailable, 503),
    (errors.FleetQError, 500),
]

_GENERAL: Final = {
    503: "the store does not answer; try again",
    500: "the store failed; see the pod's log",
}
"""The answers to a store's error, by status, for requests without a key."""

_MOST_PROBLEMS: Final = 10
"""The most problems of a request that the answer names."""


def base_http(
    settings: Settings,
    access: Access,
    hosts: Sequence[str],
    *,
    title: str,
    summary: str,
    forms: bool = False,
) -> FastAPI:
    """Return an API without endpoints. It answers only requests that name one of ``hosts``, and
    errors of FLEET-Q with the status that their type has. With ``forms``, it lets forms through to
    the dashboard."""
    http = FastAPI(
        title=title,
        summary=summary,
        redirect_slashes=False,  # a redirect would point to whatever Host names
        responses=described(400, *(() if ANY in hosts else (421,))),
    )
    http.add_middleware(HeadLikeGet)
    http.add_middleware(
        Guard, hosts=hosts, trusted=settings.allowed_hosts, access=access, forms=forms
    )
    http.add_middleware(BodyLimit, most=settings.max_payload_bytes)
    for error, status in _STATUS_OF:
        http.add_exception_handler(error, _error_handler(status, access))
    http.add_exception_handler(RequestValidationError, _answer_validation_error)
    http.add_exception_handler(Exception, _answer_unexpected_error)
    return http


def _error_handler(status: int, access: Access) -> Callable[[Request, Exception], Response]:
    """Return a handler that answers with an error's message.

    A store's message may reveal where the store is, so only the log gets it, and holders of
    keys who also see payloads.
    """

    def answer(request: Request, error: Exception) -> Response:
        headers = {"Retry-After": "1"} if status == 503 else None
        detail = one_line(str(error))
        is_secret = isinstance(error, errors.StoreError) and not isinstance(
            error, errors.UnknownToThisVersion
        )
        if is_secret and not access.sees_details(request.headers):
            log.warning("%s %s: %s", request.method, request.url.path, detail)
            detail = _GENERAL[status]
        return JSONResponse({"detail": detail}, status, headers)

    return answer


def _answer_unexpected_error(_: Request, __: Exception) -> Response:
    """Answer without details, which may be secret; the log has them."""
    return JSONResponse({"detail": "the request failed in the pod; see its log"}, 500)


def _answer_validation_error(_: Request, error: Exception) -> Response:
    """Answer with one line that names the problems, without repeating what was sent."""
    assert isinstance(error, RequestValidationError)
    all_problems = error.errors()
    problems = []
    for problem in all_problems[:_MOST_PROBLEMS]:
        if problem["type"] == "json_invalid":
            reason = problem.get("ctx", {}).get("error", "it cannot be read")
            problems.append(f"the body is not JSON: {reason}")
            continue
        where = ".".join(str(part) for part in problem["loc"] if part != "body")
        problems.append(f"{where or 'the body'}: {problem['msg']}")
    if len(all_problems) > _MOST_PROBLEMS:
        problems.append(f"and {len(all_problems) - _MOST_PROBLEMS} more")
    return JSONResponse({"detail": one_line("; ".join(problems))}, 422)
