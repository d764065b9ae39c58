"""Simulated functions that spawn steps, and what is checked of these."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from random import Random
from typing import Final

from msgspec.structs import replace

from fleet_q.core import events as ev
from fleet_q.core.dependencies import KINDS, Kind
from fleet_q.core.step import Complete, Step
from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.client import submit_of
from fleet_q.services.simulation.recording import StepChange
from fleet_q.services.simulation.violation import Violation

SHARE: Final = 0.4
"""The share of the scenarios in which functions spawn steps."""

MOST_LEVELS: Final = 3
"""Levels of children below a step that was submitted."""

_MARK: Final = "|"
"""Separates the id of a child's spawner, the claim token under which that ended, and a number."""


def with_children(scenario: sc.Scenario) -> sc.Scenario:
    """Let functions of some scenarios spawn steps."""
    chance = Random(f"scenario {scenario.seed}, children")
    if chance.random() > SHARE:
        return scenario
    return sc.with_changed_steps(
        scenario, lambda work: replace(work, spawns=chance.choice([0, 0, 1, 2, 4]))
    )


def completion(step: Step, result: str, work: MutableMapping[str, sc.Work]) -> Complete:
    """The outcome of a function that returns ``result``. The work of its children is added to
    ``work``."""
    assert step.claim_token is not None
    children = _children(work[step.step_id], step.claim_token)
    work.update((child.step_id, child) for child, _ in children)
    return Complete(
        step.step_id,
        step.claim_token,
        result,
        tuple(
            replace(submit_of(child, unique=True), spawned_by=step.step_id) for child, _ in children
        ),
        tuple(child.step_id for child, is_attached in children if not is_attached),
    )


def _children(work: sc.Work, claim_token: str) -> list[tuple[sc.Work, bool]]:
    """The children that a step spawns under a claim, and whether they are attached."""
    if not work.spawns:
        return []
    front = f"{work.step_id}{_MARK}{claim_token}{_MARK}"
    chance = Random(front)
    levels = work.step_id.count(_MARK) // 2 + 1
    children: list[tuple[sc.Work, bool]] = []
    for number in range(work.spawns):
        kind: Kind = chance.choice(KINDS)
        waits = number > 0 and chance.random() < 0.3
        behaviour: sc.Behaviour = chance.choice(
            ["succeeds", "succeeds", "succeeds", "fails", "fails for good"]
        )
        child = sc.Work(
            step_id=f"{front}{number}",
            max_retries=chance.choice([0, 1, 3]),
            seconds=chance.choice([1.0, 5.0, 20.0]),
            behaviour=behaviour,
            bad_attempts=1,
            queue=work.queue,
            key=work.key,
            task_type=work.task_type,
            after=((f"{front}{number - 1}", kind),) if waits else (),
            spawns=chance.choice([0, 0, 1, 2]) if levels < MOST_LEVELS else 0,
        )
        children.append((child, chance.random() > 0.2))
    return children


class ChildChecks:
    """Checks that every child of a completed step exists once, and of another never. ``work``: that
    of all steps, by id."""

    def __init__(self, work: Mapping[str, sc.Work]) -> None:
        self._work = work

    def check(self, steps: Sequence[StepChange]) -> dict[str, list[str]]:
        """Check what one commit wrote; returns the attached children of the steps that it
        completed. Raises :class:`Violation`."""
        stored: dict[str, ev.Submitted] = {}
        expected: dict[str, str] = {}
        attached: dict[str, list[str]] = {}
        for event, _ in steps:
            fact = event.fact
            if isinstance(fact, ev.Submitted) and _MARK in event.stream:
                stored[event.stream] = fact
            elif isinstance(fact, ev.Completed):
                children = _children(self._work[event.stream], fact.claim_token)
                expected.update((child.step_id, event.stream) for child, _ in children)
                attached[event.stream] = [child.step_id for child, is_one in children if is_one]
        for child_id in expected.keys() - stored.keys():
            raise Violation("children once", child_id, "was not stored with the completion")
        for child_id, fact in stored.items():
            if expected.get(child_id) != fact.spawned_by:
                raise Violation("children once", child_id, "is of no step that was completed")
        return attached
