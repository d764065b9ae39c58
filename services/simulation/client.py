"""Clients: send a submission, cancellation or replay, and retry it until it is answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Final

from fleet_q.core.calls import StoreCall
from fleet_q.core.errors import IllegalTransition, StoreUnavailable, UnknownStep
from fleet_q.core.inbox import row_values
from fleet_q.core.ports import StoreTraits
from fleet_q.core.retry import micros
from fleet_q.core.step import Submit
from fleet_q.core.submission import TASK_TYPE
from fleet_q.core.submitting import Submitting
from fleet_q.services.simulation.actor import Process
from fleet_q.services.simulation.scenario import (
    Cancellation,
    QueueSetting,
    Replaying,
    Request,
    Submission,
    Work,
)
from fleet_q.services.simulation.virtual_clock import VirtualClock

MAX_RETRY_WAIT: Final = 5.0
"""Seconds between two attempts of a client, at most."""


def send(
    request: Request,
    virtual_clock: VirtualClock,
    chance: Random,
    traits: StoreTraits,
    on_done: Callable[[bool], object],
) -> Process:
    """Send the request until the store answers; an unknown or final step is an answer, too. Unique
    submissions are sent once. ``on_done`` is called with whether the request is known to have been
    carried out."""
    call = _call_of(request)
    send_once = isinstance(request, Submission) and (request.unique or request.inbox)
    if traits.combines and isinstance(request, Submission) and not request.unique:
        yield from _submit_checked(call, virtual_clock, chance, traits)
        on_done(True)
        return
    while True:
        try:
            yield call
        except (UnknownStep, IllegalTransition):
            on_done(False)
            return
        except StoreUnavailable:
            if send_once:
                on_done(False)
                return
            yield virtual_clock.now + chance.uniform(0, MAX_RETRY_WAIT)
        else:
            on_done(True)
            return


def _submit_checked(
    call: StoreCall, virtual_clock: VirtualClock, chance: Random, traits: StoreTraits
) -> Process:
    """Submit through the mailbox, for as long as it takes."""

    def waiting(seconds: float) -> Process:
        yield virtual_clock.now + seconds

    submitting = Submitting(
        traits,
        new_id=lambda: f"submission {chance.getrandbits(64):x}",
        chance=chance.random,
        waiting=waiting,
        may_retry=lambda: True,
        may_wait=lambda: True,
        clock=lambda: virtual_clock.now,
    )
    yield from submitting.submit(*call.args)


def hold_locks(seconds: float, pods: tuple[str, ...]) -> Process:
    """Hold the locks that these pods need for ``seconds``, or until the transaction is aborted."""
    with suppress(StoreUnavailable):
        yield StoreCall("hold_locks", (seconds, pods))


def _call_of(request: Request) -> StoreCall:
    match request:
        case Submission(steps=steps, inbox=True):
            return StoreCall("insert", ([row_values(_submit(work, False)) for work in steps],))
        case Submission(steps=steps, pod_id=pod_id, unique=unique):
            return StoreCall("submit", ([_submit(work, unique) for work in steps], pod_id))
        case Cancellation(step_id=step_id):
            return StoreCall("cancel", (step_id,))
        case Replaying(step_id=step_id):
            return StoreCall("replay", ([step_id],))
        case QueueSetting(queue=queue, change=change):
            return StoreCall("set_queue", (queue, change))


def _submit(work: Work, unique: bool) -> Submit:
    return Submit(
        work.step_id,
        json.dumps({TASK_TYPE: work.task_type}) if work.task_type else "{}",
        work.priority,
        work.max_retries,
        micros(work.delay),
        unique,
        queue=work.queue,
        task_type=work.task_type,
        key=work.key,
    )
