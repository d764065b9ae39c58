"""Whoever submits, cancels or replays: asks until there is an answer."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from fleet_q.core.errors import IllegalTransition, StoreUnavailable, UnknownStep
from fleet_q.core.retry import micros
from fleet_q.core.step import Submit
from fleet_q.services.simulation.actor import Call, Life
from fleet_q.services.simulation.agenda import Agenda
from fleet_q.services.simulation.scenario import Cancellation, Replaying, Request, Submission, Work

PATIENCE: Final = 5.0
"""Seconds between two tries, at most."""


def request_of(request: Request) -> Call:
    """The call that the request is."""
    match request:
        case Submission(steps=steps, pod_id=pod_id):
            return Call("submit", ([_submit(work) for work in steps], pod_id))
        case Cancellation(step_id=step_id):
            return Call("cancel", (step_id,))
        case Replaying(step_id=step_id):
            return Call("replay", ([step_id],))


def ask(call: Call, agenda: Agenda, chance: Random, done: Callable[[], object]) -> Life:
    """Ask for the call again and again; a step that is not there or has ended is an answer too."""
    while True:
        try:
            yield call
        except StoreUnavailable:
            yield agenda.now + chance.uniform(0, PATIENCE)
        except (UnknownStep, IllegalTransition):
            return
        else:
            done()
            return


def _submit(work: Work) -> Submit:
    return Submit(work.step_id, "{}", work.priority, work.max_retries, micros(work.delay))
