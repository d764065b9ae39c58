"""Whoever submits, cancels or replays: asks until there is an answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Final

from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import IllegalTransition, StoreUnavailable, UnknownStep
from fleet_q.core.retry import micros
from fleet_q.core.step import Submit
from fleet_q.services.simulation.actor import Life
from fleet_q.services.simulation.scenario import Cancellation, Replaying, Request, Submission, Work
from fleet_q.services.simulation.virtual_clock import VirtualClock

PATIENCE: Final = 5.0
"""Seconds between two tries, at most."""


def ask(
    request: Request, virtual_clock: VirtualClock, chance: Random, done: Callable[[bool], object]
) -> Life:
    """Ask again and again; that a step is not there, or has ended, is an answer too. ``done`` is
    told whether the request was carried out, as far as its sender knows."""
    call = _call_of(request)
    for_once = isinstance(request, Submission) and request.unique
    while True:
        try:
            yield call
        except (UnknownStep, IllegalTransition):
            done(False)
            return
        except StoreUnavailable:
            if for_once:
                done(False)
                return
            yield virtual_clock.now + chance.uniform(0, PATIENCE)
        else:
            done(True)
            return


def hold_locks(seconds: float, pods: tuple[str, ...]) -> Life:
    """Hold the locks that these pods need for so long, or until somebody ends it."""
    with suppress(StoreUnavailable):
        yield StoreCall("hold_locks", (seconds, pods))


def _call_of(request: Request) -> StoreCall:
    match request:
        case Submission(steps=steps, pod_id=pod_id, unique=unique):
            return StoreCall("submit", ([_submit(work, unique) for work in steps], pod_id))
        case Cancellation(step_id=step_id):
            return StoreCall("cancel", (step_id,))
        case Replaying(step_id=step_id):
            return StoreCall("replay", ([step_id],))


def _submit(work: Work, unique: bool) -> Submit:
    delay = micros(work.delay)
    return Submit(work.step_id, "{}", work.priority, work.max_retries, delay, unique)
