"""The promises, held against what is left on disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import groupby
from pathlib import Path

from fleet_q.core import events as ev
from fleet_q.core import step as steps
from fleet_q.core.audit import audit
from fleet_q.core.errors import FleetQError
from fleet_q.core.events import StepEvent
from fleet_q.core.ports import Store
from fleet_q.core.step import Step
from tests.crash.work import Work

Log = Mapping[str, list[StepEvent]]
"""The events of each step."""

Signs = Counter[tuple[str, int]]
"""How often a function began, by step and attempt."""


def read_log(store: Store) -> Log:
    """The whole log."""
    grouped = groupby(store.step_events(), key=lambda event: event.stream)
    return {step_id: list(history) for step_id, history in grouped}


def read_signs(path: Path) -> tuple[Signs, set[tuple[str, int]]]:
    """The signs that functions left: and which step began in which process."""
    lines = path.read_text().splitlines() if path.exists() else []
    found = [(step_id, int(attempt), int(pid)) for step_id, attempt, pid in map(str.split, lines)]
    counts = Counter((step_id, attempt) for step_id, attempt, _ in found)
    return counts, {(step_id, pid) for step_id, _, pid in found}


def of_log(store: Store) -> list[str]:
    """What the log shows broken by itself, or in the tables."""
    report = audit(store.step_events())
    try:
        rebuilt = store.rebuild(check=True)
    except FleetQError as error:
        return [*report.faults, f"the log cannot be folded: {error}"]
    differing = [*rebuilt.differing_steps, *rebuilt.differing_pods]
    return [
        *report.faults,
        *(f"{each}: its row is not what the log adds up to" for each in differing),
    ]


def of_work(work: Collection[Work], cancelled: Collection[str], log: Log) -> list[str]:
    """Which steps are lost, or did not end as they should; and what nobody submitted."""
    faults = [
        f"{step_id}: nobody submitted it" for step_id in log.keys() - {w.step_id for w in work}
    ]
    for each in work:
        step = steps.fold(log.get(each.step_id, []))
        if step is None:
            faults.append(f"{each.step_id}: lost")
        elif step.status != each.end and not (
            step.status == "cancelled" and each.step_id in cancelled
        ):
            faults.append(f"{each.step_id} ({each.kind}): {step.status}, {step.error}")
        elif step.status == "completed" and json.loads(step.result or "") != each.result:
            faults.append(f"{each.step_id} ({each.kind}): its result is {step.result}")
        elif step.status == "failed" and not _is_its_own(step.error or "", each):
            faults.append(f"{each.step_id} ({each.kind}): it failed of {step.error}")
    return faults


def _is_its_own(error: str, work: Work) -> bool:
    died = steps.DIED.partition("{}")[2]
    return error.endswith(died) or (work.kind != "poison" and error.endswith(f" {work.number}"))


def of_signs(log: Log, signs: Signs) -> list[str]:
    """What completed, or failed by its own error, without having run; and what ran unclaimed."""
    faults = []
    claims: Signs = Counter()
    for step_id, history in log.items():
        step: Step | None = None
        for event in history:
            attempt = step.attempt if step is not None else 1
            match event.fact:
                case ev.Claimed():
                    claims[step_id, attempt] += 1
                case ev.Completed() if not signs[step_id, attempt]:
                    faults.append(f"{step_id}: completed in attempt {attempt}, which never ran")
                case ev.Failed(traceback=str()) if not signs[step_id, attempt]:
                    faults.append(f"{step_id}: failed in attempt {attempt}, which never ran")
            step = steps.evolve(step, event)
    faults += [
        f"{step_id}: attempt {attempt} ran {count} times and was claimed {claims[step_id, attempt]}"
        for (step_id, attempt), count in signs.items()
        if count > claims[step_id, attempt]
    ]
    return faults


def of_holders(log: Log) -> list[str]:
    """What became of a claim by another pod than the one that held it."""
    faults = []
    for step_id, history in log.items():
        holder: str | None = None
        for event in history:
            match event.fact:
                case ev.Claimed():
                    holder = event.pod_id
                case ev.Completed() | ev.Retried() | ev.Released() if event.pod_id != holder:
                    faults.append(
                        f"{step_id}: held by {holder}, {event.fact.type} by {event.pod_id}"
                    )
    return faults


def of_copy(earlier: Log, log: Log) -> list[str]:
    """What a copy of the log, made earlier, tells otherwise than the log itself."""
    return [
        f"{step_id}: its history in the copy is not how its history began"
        for step_id, history in earlier.items()
        if log.get(step_id, [])[: len(history)] != history
    ]
