"""Checks of the promises against the store after a round. Each returns the faults as sentences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from itertools import groupby
from pathlib import Path

from fleet_q.core import events as ev
from fleet_q.core import step as steps
from fleet_q.core.audit import audit
from fleet_q.core.events import StepEvent
from fleet_q.core.ports import Store
from fleet_q.core.step import Step
from tests.crash.work import Work

Log = Mapping[str, list[StepEvent]]
"""The events of each step."""

Runs = Counter[tuple[str, int]]
"""How often a function began, by step and attempt."""


def read_log(store: Store) -> Log:
    """The whole log."""
    grouped = groupby(store.step_events(), key=lambda event: event.stream)
    return {step_id: list(history) for step_id, history in grouped}


def read_runs(path: Path) -> tuple[Runs, set[tuple[str, int]]]:
    """The runs that functions recorded, and the pairs of step id and process id."""
    lines = path.read_text().splitlines() if path.exists() else []
    runs = [(step_id, int(attempt), int(pid)) for step_id, attempt, pid in map(str.split, lines)]
    counts = Counter((step_id, attempt) for step_id, attempt, _ in runs)
    return counts, {(step_id, pid) for step_id, _, pid in runs}


def of_log(store: Store) -> list[str]:
    """Faults in the log itself, and rows that differ from it."""
    report = audit(store.step_events())
    rebuilt = store.rebuild(check=True)
    return [
        *report.faults,
        *(f"the log cannot be folded: {reason}" for reason in rebuilt.inconsistent),
        *(f"{name}: its row differs from the log" for name in rebuilt.differing),
    ]


def of_work(work: Collection[Work], cancelled: Collection[str], log: Log) -> list[str]:
    """Steps that are lost, that ended in another way than they should, or that nobody submitted."""
    faults = [
        f"{step_id}: nobody submitted it" for step_id in log.keys() - {w.step_id for w in work}
    ]
    for item in work:
        step = steps.fold(log.get(item.step_id, []))
        if step is None:
            faults.append(f"{item.step_id}: lost")
        elif step.status != item.end and not (
            step.status == "cancelled" and item.step_id in cancelled
        ):
            faults.append(f"{item.step_id} ({item.kind}): {step.status}, {step.error}")
        elif step.status == "completed" and json.loads(step.result or "") != item.result:
            faults.append(f"{item.step_id} ({item.kind}): unexpected result {step.result}")
        elif step.status == "failed" and not _is_expected_error(step.error or "", item):
            faults.append(f"{item.step_id} ({item.kind}): unexpected error {step.error}")
    return faults


def _is_expected_error(error: str, work: Work) -> bool:
    died = steps.DIED.partition("{}")[2]
    return error.endswith(died) or (work.kind != "poison" and error.endswith(f" {work.number}"))


def of_runs(log: Log, runs: Runs) -> list[str]:
    """Attempts that ended without having run, and runs without a claim."""
    faults = []
    claims: Runs = Counter()
    for step_id, history in log.items():
        step: Step | None = None
        for event in history:
            attempt = step.attempt if step is not None else 1
            match event.fact:
                case ev.Claimed():
                    claims[step_id, attempt] += 1
                case ev.Completed() if not runs[step_id, attempt]:
                    faults.append(f"{step_id}: completed in attempt {attempt}, which never ran")
                case ev.Failed(traceback=str()) if not runs[step_id, attempt]:
                    faults.append(f"{step_id}: failed in attempt {attempt}, which never ran")
            step = steps.evolve(step, event)
    faults += [
        f"{step_id}: attempt {attempt} ran {count} times but was claimed"
        f" {claims[step_id, attempt]} times"
        for (step_id, attempt), count in runs.items()
        if count > claims[step_id, attempt]
    ]
    return faults


def of_holders(log: Log) -> list[str]:
    """Outcomes stored by a pod that did not hold the claim."""
    faults = []
    for step_id, history in log.items():
        holder: str | None = None
        for event in history:
            match event.fact:
                case ev.Claimed():
                    holder = event.pod_id
                case ev.Completed() | ev.Retried() | ev.Released() if event.pod_id != holder:
                    faults.append(
                        f"{step_id}: claimed by {holder}, {event.fact.type} by {event.pod_id}"
                    )
    return faults


def of_copy(earlier: Log, log: Log) -> list[str]:
    """Steps whose history in an earlier copy of the log is no prefix of their history now."""
    return [
        f"{step_id}: its history in the copy is not a prefix of its history"
        for step_id, history in earlier.items()
        if log.get(step_id, [])[: len(history)] != history
    ]
