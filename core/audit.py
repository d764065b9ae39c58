"""Check an event log for broken guarantees: lost steps, double claims, double completions."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import msgspec

from fleet_q.core import events as ev
from fleet_q.core import step as steps
from fleet_q.core.errors import FleetQError
from fleet_q.core.events import StepEvent
from fleet_q.core.lifecycle import EFFECTS


class Audit(msgspec.Struct):
    """Counts of steps and events in a log; ``faults`` describes every broken guarantee found."""

    steps: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    unfinished: int = 0
    retried: int = 0
    recovered: int = 0
    released: int = 0
    faults: list[str] = msgspec.field(default_factory=list)


def audit(log: Iterable[StepEvent]) -> Audit:
    """Fold and check every stream of ``log``, which must be ordered by step id and version.

    A stream that folds without an error has no version gaps and only legal transitions. Claims and
    completions are counted separately, so the audit does not depend on the lifecycle alone.
    """
    report = Audit()
    for step_id, group in groupby(log, key=lambda event: event.stream):
        history = list(group)
        report.steps += 1
        _count(report, history)
        report.faults += [f"{step_id}: {fault}" for fault in _faults(history)]
    return report


def _count(report: Audit, history: list[StepEvent]) -> None:
    for event in history:
        match event.fact:
            case ev.Retried():
                report.retried += 1
            case ev.Recovered():
                report.recovered += 1
            case ev.Released():
                report.released += 1
    last = EFFECTS.get(history[-1].fact.type)
    match last and last.status:
        case "completed":
            report.completed += 1
        case "failed":
            report.failed += 1
        case "cancelled":
            report.cancelled += 1
        case _:
            report.unfinished += 1


def _faults(history: list[StepEvent]) -> list[str]:
    faults: list[str] = []
    try:
        steps.fold(history)
    except FleetQError as error:
        faults.append(str(error))
    completions = sum(isinstance(event.fact, ev.Completed) for event in history)
    if completions > 1:
        faults.append(f"completed {completions} times")
    token: str | None = None
    for event in history:
        fact = event.fact
        if isinstance(fact, ev.Claimed):
            if token is not None:
                faults.append(f"claimed at version {event.version} while already claimed")
            token = fact.claim_token
        elif fact.type in EFFECTS:
            if getattr(fact, "claim_token", token) != token:
                faults.append(f"{fact.type} under another claim token at version {event.version}")
            if EFFECTS[fact.type].status != "claimed":
                token = None
    return faults
