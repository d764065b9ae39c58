"""The endpoints with which clients in any language claim steps and end them."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar

from fastapi import APIRouter, HTTPException, Request

from fleet_q.core.errors import ConsumerEnded, StoreUnavailable
from fleet_q.core.step import Snooze, Step
from fleet_q.services.app.app import FleetQ
from fleet_q.services.app.leases import Leases
from fleet_q.services.http.connection import CLIENT_IS_DONE
from fleet_q.services.http.lease_models import (
    CheckpointRequest,
    Claimed,
    ClaimRequest,
    CompleteRequest,
    Ended,
    FailRequest,
    HeartbeatRequest,
    LeasedStep,
    ReleaseRequest,
    Renewed,
    Saved,
    SnoozeRequest,
)
from fleet_q.services.http.models import CHANGING, StepId, described
from fleet_q.services.worker.by_hand import ClaimCall

STORED_WITHIN: Final = 30.0
"""Seconds that a request waits for the store; the client may repeat it."""

T = TypeVar("T")


def add_leases(locked: APIRouter, fleet: FleetQ) -> None:
    """Add the endpoints for the pod that ``fleet`` runs with :meth:`FleetQ.leasing`."""

    @locked.post("/claim", responses=described(*CHANGING))
    async def claim(body: ClaimRequest, request: Request) -> Claimed:
        """Claim steps, those that come first in the queue."""
        leases = _leases(fleet)
        call = leases.claim(
            body.n, body.lease, body.queues, body.task_types, is_over=body.wait == 0
        )
        steps = await _claimed(leases, call, body.wait, request)
        return Claimed(steps=[LeasedStep.of(step) for step in steps])

    @locked.post("/steps/{step_id:any_id}/complete", responses=described(*CHANGING, 409))
    async def complete(step_id: StepId, body: CompleteRequest) -> Ended:
        """Complete a claimed step."""
        future = _leases(fleet).complete(step_id, body.claim_token, body.result)
        await _stored(future)
        return Ended(step_id=step_id, status="completed")

    @locked.post("/steps/{step_id:any_id}/fail", responses=described(*CHANGING, 409))
    async def fail(step_id: StepId, body: FailRequest) -> Ended:
        """Record that the attempt failed: the step is retried, or becomes a dead letter."""
        future = _leases(fleet).fail(
            step_id, body.claim_token, body.error, permanent=body.permanent
        )
        await _stored(future)
        return Ended(step_id=step_id, status="failed")

    @locked.post("/steps/{step_id:any_id}/release", responses=described(*CHANGING, 409))
    async def release(step_id: StepId, body: ReleaseRequest) -> Ended:
        """Release a claimed step, using up no try."""
        await _stored(_leases(fleet).release(step_id, body.claim_token, body.delay))
        return Ended(step_id=step_id, status="released")

    @locked.post("/steps/{step_id:any_id}/snooze", responses=described(*CHANGING, 409))
    async def snooze(step_id: StepId, body: SnoozeRequest) -> Ended:
        """Put a claimed step off, using up no try; if it was put off too often, it fails."""
        future = _leases(fleet).snooze(step_id, body.claim_token, body.seconds)
        outcome = await _stored(future)
        return Ended(step_id=step_id, status="snoozed" if isinstance(outcome, Snooze) else "failed")

    @locked.post("/steps/{step_id:any_id}/checkpoint", responses=described(*CHANGING, 409))
    def checkpoint(step_id: StepId, body: CheckpointRequest) -> Saved:
        """Save a value for who claims the step later."""
        _leases(fleet).save(step_id, body.claim_token, body.value)
        return Saved(step_id=step_id)

    @locked.post("/steps/{step_id:any_id}/heartbeat", responses=described(*CHANGING, 409))
    async def heartbeat(step_id: StepId, body: HeartbeatRequest) -> Renewed:
        """Renew the lease of a claimed step, and report its progress."""
        leases, progress = _leases(fleet), body.progress
        lease = await _stored(leases.renew(step_id, body.claim_token, body.lease))
        if progress is not None:
            leases.report(step_id, body.claim_token, progress.fraction, progress.text)
        return Renewed(step_id=step_id, lease=lease)


def _leases(fleet: FleetQ) -> Leases:
    leases = fleet.leases
    if leases is None:
        raise _leaving()
    return leases


async def _claimed(leases: Leases, call: ClaimCall, wait: float, request: Request) -> list[Step]:
    """The steps of a call, after waiting up to ``wait`` seconds for the first. They are released if
    the client has closed the connection meanwhile."""
    gone = asyncio.ensure_future(_until_gone(request))
    arrived = asyncio.ensure_future(_until_done(call))
    try:
        first = asyncio.FIRST_COMPLETED
        await asyncio.wait({arrived, gone}, timeout=wait or None, return_when=first)
        if not arrived.done() and not gone.done():
            leases.pod.steps.end_wait(call)
            await asyncio.wait({arrived, gone}, return_when=first)
        if gone.done() or _has_closed(request):  # nobody will read the answer
            leases.pod.steps.cancel(call)
            return []
        return call.result()
    except ConsumerEnded:
        raise _leaving() from None
    except BaseException:
        leases.pod.steps.cancel(call)
        raise
    finally:
        gone.cancel()
        arrived.cancel()


async def _stored(future: Future[T]) -> T:
    """The result of a future. Raises ``StoreUnavailable`` if it takes too long."""
    try:
        await asyncio.wait_for(_until_done(future), STORED_WITHIN)
        return future.result()
    except TimeoutError:
        raise StoreUnavailable("it is not stored yet; send the request again") from None
    except ConsumerEnded:
        raise _leaving() from None


async def _until_done(future: Future[Any]) -> None:
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_done(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(arrived.set)

    future.add_done_callback(on_done)
    await arrived.wait()


async def _until_gone(request: Request) -> None:
    """Wait until the client has closed its side of the connection: then it is taken for gone."""
    is_done = _client_is_done(request)
    if is_done is not None:
        await is_done.wait()
        return
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _has_closed(request: Request) -> bool:
    is_done = _client_is_done(request)
    return is_done is not None and is_done.is_set()


def _client_is_done(request: Request) -> asyncio.Event | None:
    """The event of a server of FLEET-Q's; ``None`` under another server."""
    is_done: asyncio.Event | None = request.scope.get("state", {}).get(CLIENT_IS_DONE)
    return is_done


def _leaving() -> HTTPException:
    return HTTPException(503, "the pod is leaving; ask another one", {"Retry-After": "1"})
