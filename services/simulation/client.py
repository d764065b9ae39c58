"""Clients: send a submission, cancellation or replay, and retry it until it is answered."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from random import Random
from typing import Any, Final

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core import schedules
from fleet_q.core.calls import StoreCall
from fleet_q.core.dependencies import parents_json
from fleet_q.core.errors import (
    IllegalTransition,
    ParentNotReplayed,
    StepConflict,
    StoreUnavailable,
    UniqueKeyTaken,
    UnknownStep,
)
from fleet_q.core.inbox import row_values
from fleet_q.core.ports import StoreTraits, SubmitResult
from fleet_q.core.retry import micros
from fleet_q.core.schedules import ScheduleList, ScheduleStatus, ScheduleWrite
from fleet_q.core.step import Reprioritize, Submit
from fleet_q.core.submitting import Submitting
from fleet_q.services.simulation.actor import Process
from fleet_q.services.simulation.payloads import payload_of
from fleet_q.services.simulation.scenario import (
    Cancellation,
    QueueSetting,
    Replaying,
    Reprioritizing,
    Request,
    SchedulePause,
    ScheduleSetting,
    Submission,
    Work,
)
from fleet_q.services.simulation.schedules import definition_of
from fleet_q.services.simulation.virtual_clock import VirtualClock

MAX_RETRY_WAIT: Final = 5.0
"""Seconds between two attempts of a client, or of a function that saves, at most."""

ANSWERS: Final = (
    UnknownStep, IllegalTransition, ParentNotReplayed, StepConflict, UniqueKeyTaken,
)  # fmt: skip
"""Errors that are answers: the step is unknown or final, its id has another payload since it was
replaced, its unique key is taken, or a parent forbids its replay."""


def send(
    request: Request,
    virtual_clock: VirtualClock,
    chance: Random,
    traits: StoreTraits,
    on_done: Callable[[list[SubmitResult]], object],
) -> Process:
    """Send the request until the store answers; the errors :data:`ANSWERS` are answers, too. Unique
    submissions that are not checked are sent once. ``on_done`` is called with the results of a
    submission; without any for another request, or if none is known."""
    if isinstance(request, ScheduleSetting | SchedulePause):
        yield from _set_schedule(request, virtual_clock, chance)
        on_done([])
        return
    call = _call_of(request)
    if traits.combines and isinstance(request, Submission) and _is_checked(request):
        try:
            results = yield from _submit_checked(call, virtual_clock, chance, traits)
        except ANSWERS:
            results = []
        on_done(results)
        return
    send_once = isinstance(request, Submission) and (request.unique or request.inbox)
    while True:
        try:
            answer = yield call
        except ANSWERS:
            break
        except StoreUnavailable:
            if send_once:
                break
            yield virtual_clock.now + chance.uniform(0, MAX_RETRY_WAIT)
        else:
            on_done(answer if call.method == "submit" else [])
            return
    on_done([])


def _set_schedule(
    request: ScheduleSetting | SchedulePause, virtual_clock: VirtualClock, chance: Random
) -> Process:
    """Read the schedules and write one, until it was as it was read."""
    while True:
        try:
            listed = yield StoreCall("schedules")
            write = _schedule_write(request, listed)
            if write is None or (yield StoreCall("write_schedule", (write,))):
                return
        except StoreUnavailable:
            yield virtual_clock.now + chance.uniform(0, MAX_RETRY_WAIT)


def _schedule_write(
    request: ScheduleSetting | SchedulePause, listed: ScheduleList
) -> ScheduleWrite | None:
    name = request.schedule if isinstance(request, SchedulePause) else request.work.step_id
    row = next((row for row in listed.schedules if row.schedule == name), None)
    if isinstance(request, ScheduleSetting):
        return schedules.put(row, definition_of(request), listed.at, None, CALENDAR)
    status: ScheduleStatus = "paused" if request.paused else "active"
    return None if row is None else schedules.set_status(row, status, listed.at, None, CALENDAR)


def _is_checked(request: Submission) -> bool:
    """Whether only the mailbox can tell if other steps have its ids or unique keys, or if its
    parents exist."""
    is_checked = any(work.unique_key is not None or work.after for work in request.steps)
    return not request.inbox and (is_checked or not request.unique)


def _submit_checked(
    call: StoreCall, virtual_clock: VirtualClock, chance: Random, traits: StoreTraits
) -> Generator[StoreCall | float, Any, list[SubmitResult]]:
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
    return (yield from submitting.submit(*call.args))


def hold_locks(seconds: float, pods: tuple[str, ...]) -> Process:
    """Hold the locks that these pods need for ``seconds``, or until the transaction is aborted."""
    with suppress(StoreUnavailable):
        yield StoreCall("hold_locks", (seconds, pods))


def _call_of(
    request: Submission | Cancellation | Replaying | Reprioritizing | QueueSetting,
) -> StoreCall:
    match request:
        case Submission(steps=steps, inbox=True):
            return StoreCall("insert", ([_row(work) for work in steps],))
        case Submission(steps=steps, pod_id=pod_id, unique=unique):
            return StoreCall("submit", ([submit_of(work, unique) for work in steps], pod_id))
        case Cancellation(step_id=step_id):
            return StoreCall("cancel", (step_id,))
        case Replaying(step_id=step_id):
            return StoreCall("replay", ([step_id],))
        case Reprioritizing(step_id=step_id, priority=priority):
            return StoreCall("change_allowed", ([Reprioritize(step_id, priority)],))
        case QueueSetting(queue=queue, change=change):
            return StoreCall("set_queue", (queue, change))


def _row(work: Work) -> dict[str, Any]:
    """The row of the inbox that submits the step, or an invalid one."""
    row = row_values(submit_of(work, False))
    return row if work.is_valid else row | {"task_type": "one", "payload": '{"task_type":"other"}'}


def submit_of(work: Work, unique: bool) -> Submit:
    """The command that submits a step."""
    return Submit(
        work.step_id,
        payload_of(work),
        work.priority,
        work.max_retries,
        micros(work.delay),
        unique,
        queue=work.queue,
        task_type=work.task_type,
        key=work.key,
        unique_key=work.unique_key,
        unique_for=None if work.unique_for is None else micros(work.unique_for),
        on_conflict=work.on_conflict,
        parents=parents_json(dict(work.after)) if work.after else None,
        start_by=None if work.start_by is None else micros(work.start_by),
    )
