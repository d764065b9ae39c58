"""Draws unique keys for the steps of a scenario, and clients that submit one at the same moment."""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec.structs import replace

from fleet_q.core.step import ON_CONFLICT
from fleet_q.services.simulation import scenario as sc

SHARE: Final = 0.5
"""The share of scenarios with unique keys."""


def with_unique_keys(scenario: sc.Scenario) -> sc.Scenario:
    """Give some steps of some scenarios unique keys, and let several clients submit steps of one
    key at once. Steps of one key that are submitted together have unique ids."""
    chance = Random(f"scenario {scenario.seed}, keys")
    if chance.random() > SHARE:
        return scenario
    keys = [f"key-{number}" for number in range(chance.randint(1, 4))]
    requests = [_with_keys(request, keys, chance) for request in scenario.requests]
    for race in range(chance.randint(1, 6)):
        at = chance.uniform(0, scenario.seconds * 0.95)
        key = chance.choice(keys)
        for client in range(chance.randint(2, 5)):
            work = sc.Work(
                step_id=f"race-{race}-{client}",
                priority=chance.choice([0, 5]),
                delay=chance.choice([0.0, 0.0, 20.0]),
                seconds=chance.choice([1.0, 60.0]),
            )
            steps = (_keyed(work, key, chance),)
            requests.append(sc.Submission(at, steps, unique=chance.random() < 0.5))
    return replace(scenario, requests=tuple(requests))


def _with_keys(request: sc.Request, keys: list[str], chance: Random) -> sc.Request:
    if not isinstance(request, sc.Submission):
        return request
    steps = tuple(
        _keyed(work, chance.choice(keys), chance) if chance.random() < 0.3 else work
        for work in request.steps
    )
    used = [work.unique_key for work in steps if work.unique_key is not None]
    return replace(request, steps=steps, unique=request.unique or len(used) > len(set(used)))


def _keyed(work: sc.Work, key: str, chance: Random) -> sc.Work:
    return replace(
        work,
        unique_key=key,
        unique_for=chance.choice([None, None, 10.0, 200.0]),
        on_conflict=chance.choice(ON_CONFLICT),
    )
