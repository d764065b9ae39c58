"""Draws queues with limits for a scenario, and changes of these limits."""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec.structs import replace

from fleet_q.core.events import DEFAULT_QUEUE
from fleet_q.core.queues import QueueChange
from fleet_q.core.rate import Rate
from fleet_q.core.retry import micros
from fleet_q.services.simulation import scenario as sc

QUEUES: Final = ("gpu", "api", "etl")

SHARE: Final = 0.5
"""The share of scenarios with limited queues."""


def with_limited_queues(scenario: sc.Scenario) -> sc.Scenario:
    """Put the steps of some scenarios into several queues, give them keys, and limit all of these
    queues but the default one."""
    chance = Random(f"scenario {scenario.seed}, queues")
    if chance.random() > SHARE:
        return scenario
    names = chance.sample(QUEUES, chance.randint(1, len(QUEUES)))
    keys = [None, *"abcd"[: chance.randint(1, 4)]]
    everywhere = [DEFAULT_QUEUE, *names]
    scenario = sc.with_changed_steps(
        scenario,
        lambda work: replace(work, queue=chance.choice(everywhere), key=chance.choice(keys)),
    )
    requests = list(scenario.requests)
    for queue in names:
        requests += _settings(queue, scenario.seconds, chance)
    return replace(scenario, requests=tuple(requests))


def _settings(queue: str, seconds: float, chance: Random) -> list[sc.Request]:
    """The first limits of a queue, changes of them, and a pause."""
    times = [0.0, *(chance.uniform(0, seconds) for _ in range(chance.randint(0, 3)))]
    settings: list[sc.Request] = [sc.QueueSetting(at, queue, _limits(chance)) for at in times]
    if chance.random() < 0.4:
        at = chance.uniform(0, seconds)
        until = min(at + chance.choice([10.0, 60.0, 300.0]), seconds)
        settings.append(sc.QueueSetting(at, queue, QueueChange(paused=True)))
        settings.append(sc.QueueSetting(until, queue, QueueChange(paused=False)))
    return settings


def _limits(chance: Random) -> QueueChange:
    rate = Rate(chance.randint(1, 5), micros(chance.choice([1.0, 10.0, 60.0])))
    return QueueChange(
        max_running=chance.choice([None, 1, 2, 5]),
        max_running_per_key=chance.choice([None, None, 1, 2]),
        rate=chance.choice([None, None, rate]),
    )
