"""Draws steps that wait for others, and clients that cancel and replay some of them."""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from msgspec.structs import replace

from fleet_q.core.dependencies import KINDS, Kind
from fleet_q.services.simulation import scenario as sc

SHARE: Final = 0.5
"""The share of scenarios with such steps."""

Parents = dict[int, list[int]]
"""The numbers of the parents of steps, by the number of the step."""


def with_workflows(scenario: sc.Scenario) -> sc.Scenario:
    """Add chains, fans, diamonds and random graphs of steps to some scenarios. Each is submitted in
    one call, in any order."""
    chance = Random(f"scenario {scenario.seed}, workflows")
    if chance.random() > SHARE:
        return scenario
    requests: list[sc.Request] = []
    for number in range(chance.randint(1, 5)):
        at = chance.uniform(0, scenario.seconds * 0.8)
        graph = _graph(chance)
        ids = {step: f"flow-{number}-{step}" for step in graph}
        steps = [
            _work(ids[step], [ids[parent] for parent in parents], chance)
            for step, parents in graph.items()
        ]
        chance.shuffle(steps)
        requests.append(sc.Submission(at, tuple(steps), unique=chance.random() < 0.3))
        for step_id in ids.values():
            if chance.random() < 0.1:
                requests.append(sc.Cancellation(at + chance.expovariate(1 / 60), step_id))
            for _ in range(chance.choice([0, 0, 1, 2])):
                replayed_at = min(at + chance.expovariate(1 / 200), scenario.seconds)
                requests.append(sc.Replaying(replayed_at, step_id))
    return replace(scenario, requests=(*scenario.requests, *requests))


def _graph(chance: Random) -> Parents:
    size = chance.randint(2, 7)
    shape: Literal["chain", "fan in", "fan out", "diamond", "any"] = chance.choice(
        ["chain", "fan in", "fan out", "diamond", "any"]
    )
    inner = range(1, size)
    match shape:
        case "chain":
            return {0: [], **{step: [step - 1] for step in inner}}
        case "fan in":
            return {**{step: [] for step in range(size)}, size: list(range(size))}
        case "fan out":
            return {0: [], **{step: [0] for step in inner}}
        case "diamond":
            return {0: [], **{step: [0] for step in inner}, size: list(inner)}
        case "any":
            return {
                step: chance.sample(range(step), chance.randint(0, min(step, 3)))
                for step in range(size)
            }


def _work(step_id: str, parents: list[str], chance: Random) -> sc.Work:
    behaviour: sc.Behaviour = chance.choice(["succeeds", "succeeds", "fails", "fails for good"])
    kinds: list[Kind] = ["success", *KINDS]
    return sc.Work(
        step_id=step_id,
        priority=chance.choice([0, 0, 5]),
        max_retries=chance.choice([0, 1, 3]),
        delay=chance.choice([0.0, 0.0, 0.0, 30.0]),
        seconds=chance.choice([1.0, 5.0, 30.0]),
        behaviour=behaviour,
        bad_attempts=chance.randint(1, 2),
        after=tuple((parent_id, chance.choice(kinds)) for parent_id in parents),
    )
