"""Draws schedules for a scenario, and pauses and changes of them."""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec.structs import replace

from fleet_q.core.retry import micros
from fleet_q.core.schedules import MISSED, OVERLAP, Definition
from fleet_q.core.step import Submit
from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.payloads import payload_of

NAMES: Final = ("nightly", "often")

SHARE: Final = 0.3
"""The share of scenarios with schedules."""


def with_schedules(scenario: sc.Scenario) -> sc.Scenario:
    """Add schedules to some scenarios."""
    chance = Random(f"scenario {scenario.seed}, schedules")
    if chance.random() > SHARE:
        return scenario
    requests = list(scenario.requests)
    for name in NAMES[: chance.randint(1, len(NAMES))]:
        requests += _requests(name, scenario.seconds, chance)
    return replace(scenario, requests=tuple(requests))


def _requests(name: str, seconds: float, chance: Random) -> list[sc.Request]:
    """The first definition of a schedule, a change of it, and a pause."""
    work = sc.Work(
        step_id=name,
        seconds=chance.choice([0.5, 5.0, 90.0]),
        behaviour=chance.choice(["succeeds", "succeeds", "fails", "kills its pod"]),
        bad_attempts=1,
    )
    requests: list[sc.Request] = [_setting(chance.uniform(0, seconds / 4), work, chance)]
    if chance.random() < 0.3:
        requests.append(_setting(chance.uniform(seconds / 4, seconds), work, chance))
    if chance.random() < 0.4:
        at = chance.uniform(0, seconds)
        requests.append(sc.SchedulePause(at, name, paused=True))
        requests.append(sc.SchedulePause(min(at + 120, seconds), name, paused=False))
    return requests


def _setting(at: float, work: sc.Work, chance: Random) -> sc.ScheduleSetting:
    return sc.ScheduleSetting(
        at,
        work,
        every=chance.choice([10.0, 60.0, 300.0]),
        overlap=chance.choice(OVERLAP),
        missed=chance.choice(MISSED),
        window=chance.choice([0.0, 120.0, 3_600.0]),
    )


def definition_of(setting: sc.ScheduleSetting) -> Definition:
    """The definition that a client puts."""
    work = setting.work
    submit = Submit("", payload_of(work), work.priority, work.max_retries)
    return Definition(
        work.step_id,
        submit,
        every=micros(setting.every),
        overlap=setting.overlap,
        missed=setting.missed,
        window=micros(setting.window),
    )


class WorkById(dict[str, sc.Work]):
    """The work of steps by id; the id of a schedule's step begins with the schedule's name."""

    def __contains__(self, step_id: object) -> bool:
        return super().__contains__(step_id) or super().__contains__(schedule_of(step_id))

    def __missing__(self, step_id: str) -> sc.Work:
        return replace(self[schedule_of(step_id)], step_id=step_id)


def schedule_of(step_id: object) -> str:
    """The name of the schedule that has submitted the step, if one has."""
    name, at, _ = str(step_id).partition("@")
    return name if at else ""
