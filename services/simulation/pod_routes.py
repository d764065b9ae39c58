"""Draws the task types of steps, which of them and which queues pods take, and rolling
deployments of other versions of the pods."""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec.structs import replace

from fleet_q.services.simulation import scenario as sc

TASK_TYPES: Final = ("", "report", "resize", "train")

SHARE: Final = 0.4
"""The share of scenarios whose pods do not take all steps."""

NEW_POD: Final = "pod-new"
"""The pod that joins in some rolling deployments."""


def with_routes(scenario: sc.Scenario) -> sc.Scenario:
    """Give the steps of some scenarios task types, and let most of their pods take only some types
    and some queues. In half of these scenarios, all pods begin with one version of the app and are
    replaced by another, which knows other types, one after another."""
    chance = Random(f"scenario {scenario.seed}, routes")
    if chance.random() > SHARE:
        return scenario
    types = chance.sample(TASK_TYPES, chance.randint(2, len(TASK_TYPES)))
    scenario = sc.with_changed_steps(
        scenario, lambda work: replace(work, task_type=chance.choice(types))
    )
    queues = sorted({work.queue for request in scenario.requests for work in _steps(request)})
    if chance.random() < 0.5:
        return _with_deployment(scenario, queues, types, chance)
    pods = tuple(
        replace(pod, queues=_some(queues, chance), task_types=_some(types, chance))
        for pod in scenario.pods
    )
    return replace(scenario, pods=pods)


def _with_deployment(
    scenario: sc.Scenario, queues: list[str], types: list[str], chance: Random
) -> sc.Scenario:
    before, after = (tuple(chance.sample(types, chance.randint(1, len(types)))) for _ in range(2))
    at = scenario.seconds * chance.uniform(0.1, 0.7)
    pause = chance.choice([0.0, 5.0, 60.0])
    pods = [replace(pod, queues=_some(queues, chance), task_types=before) for pod in scenario.pods]
    upgrades = [
        sc.Upgrade(at + number * pause, pod.pod_id, chance.uniform(1, 60), pod.queues, after)
        for number, pod in enumerate(pods)
    ]
    if chance.random() < 0.5:
        pods.append(sc.Start(NEW_POD, at, queues=_some(queues, chance), task_types=after))
    return replace(scenario, pods=tuple(pods), faults=(*scenario.faults, *upgrades))


def _steps(request: sc.Request) -> tuple[sc.Work, ...]:
    return request.steps if isinstance(request, sc.Submission) else ()


def _some(names: list[str], chance: Random) -> tuple[str, ...] | None:
    """Some of the names, at least one, or ``None`` for all."""
    if chance.random() < 0.3:
        return None
    return tuple(sorted(chance.sample(names, chance.randint(1, len(names)))))
