"""Adds situations to scenarios that rarely arise from independent faults."""

from __future__ import annotations

from random import Random
from typing import Final

from msgspec.structs import replace

from fleet_q.services.simulation import scenario as sc

GIVE_UP_AFTER: Final = 100.0
"""Seconds after which pods give up their store in a scenario with a long outage."""

AFTER_LAST: Final = -1
"""The number of a request that means: after the last one."""


def with_rare_case(scenario: sc.Scenario, pods: list[str]) -> sc.Scenario:
    """Add a situation that rarely arises from independent faults, to some scenarios."""
    chance = Random(f"scenario {scenario.seed}, special")
    roll = chance.random()
    on_sqlite = scenario.store == "sqlite"
    if roll < 0.25 and on_sqlite:
        return _with_heartbeat_in_future(scenario, chance)
    if roll < 0.25:  # a sync of SQLite is too quick to prefetch for
        return _with_slowdown(scenario, chance)
    if roll < 0.5:
        return _with_one_survivor(scenario, pods, chance)
    if roll < 0.6 and not on_sqlite:  # SQLite rejects no statement for a full lock queue
        return _with_lost_claims(scenario, pods, chance)
    if roll > 0.9:
        return _with_long_outage(scenario)
    if 0.5 <= roll < 0.75 and on_sqlite:  # pods on SQLite record which functions began
        return _with_deaths_after_claims(scenario, pods, chance)
    return scenario


def _with_long_outage(scenario: sc.Scenario) -> sc.Scenario:
    """Let the store be away for so long that pods give up, and nothing else fail from then on."""
    outage = sc.StoreOutage(scenario.seconds * 0.3, 3 * GIVE_UP_AFTER)
    return replace(
        scenario,
        settings=replace(scenario.settings, store_give_up_after=GIVE_UP_AFTER),
        faults=(*(fault for fault in scenario.faults if fault.at < outage.at), outage),
    )


def _with_slowdown(scenario: sc.Scenario, chance: Random) -> sc.Scenario:
    """Submit steps so quick that pods prefetch many, followed by ever slower ones."""
    seconds = [
        *[chance.uniform(0.01, 0.3)] * chance.randint(20, 60),
        *[chance.uniform(0.5, 5.0)] * chance.randint(0, 10),
        *[chance.uniform(60.0, 300.0)] * chance.randint(3, 12),
    ]
    steps = [
        sc.Work(step_id=f"slower-{i:03}", seconds=duration) for i, duration in enumerate(seconds)
    ]
    at = chance.uniform(0, scenario.seconds * 0.9)
    prefetch = chance.choice([100, 1_000])
    return replace(
        scenario,
        requests=(*scenario.requests, sc.Submission(at, tuple(steps))),
        settings=replace(scenario.settings, prefetch=prefetch),
    )


def _with_one_survivor(scenario: sc.Scenario, pods: list[str], chance: Random) -> sc.Scenario:
    """Submit a long step after a pause in which the pods fall asleep; then kill all pods but one
    for good."""
    work = sc.Work(step_id="left-alone", seconds=600.0)
    dies_at = scenario.seconds * 0.5
    survivor = chance.choice(pods)
    return replace(
        scenario,
        settings=replace(scenario.settings, sleep_after=5.0),
        requests=(
            *(replace(request, at=request.at * 0.3) for request in scenario.requests),
            sc.Submission(dies_at - chance.uniform(5, 60), (work,)),
        ),
        faults=(
            *(fault for fault in scenario.faults if fault.at < dies_at),
            *(sc.Crash(dies_at, pod_id) for pod_id in pods if pod_id != survivor),
        ),
    )


def _with_heartbeat_in_future(scenario: sc.Scenario, chance: Random) -> sc.Scenario:
    """Kill the leader for good while it holds steps, and then set the clock back."""
    leader = min(scenario.pods, key=lambda pod: pod.at).pod_id
    at = scenario.seconds * 0.5
    work = tuple(sc.Work(step_id=f"held-{number:02}", seconds=600.0) for number in range(40))
    return replace(
        scenario,
        requests=(*scenario.requests, sc.Submission(at - 60.0, work)),
        faults=(
            sc.Crash(at - chance.uniform(0, 5), leader),
            sc.StoreClock(at, -900.0),
        ),
    )


def _with_lost_claims(scenario: sc.Scenario, pods: list[str], chance: Random) -> sc.Scenario:
    """Lose the answers to claims, and reject retries for a while because of full lock queues."""
    faults = [
        sc.TransactionFault(
            request.at, pod_id, statement=AFTER_LAST, seconds=0.0, then="fails", contended=20.0
        )
        for request in scenario.requests
        if isinstance(request, sc.Submission)
        for pod_id in chance.sample(pods, 2)
    ]
    return replace(scenario, faults=(*scenario.faults, *faults), most_waiters=1)


def _with_deaths_after_claims(
    scenario: sc.Scenario, pods: list[str], chance: Random
) -> sc.Scenario:
    """Kill pods after the commit of a claim, before its steps, which have one try, begin."""
    requests: list[sc.Request] = []
    faults: list[sc.Fault] = []
    for number in range(3):
        at = chance.uniform(0.1, 0.9) * scenario.seconds
        steps = tuple(
            sc.Work(step_id=f"only-try-{number}-{i}", priority=9, max_retries=0, seconds=60.0)
            for i in range(4)
        )
        requests.append(sc.Submission(at, steps, chance.choice(pods)))
        faults += [
            sc.TransactionFault(
                at, pod_id, statement=AFTER_LAST, then="dies", back_after=chance.uniform(1, 60)
            )
            for pod_id in pods
        ]
    return replace(
        scenario,
        requests=(*scenario.requests, *requests),
        faults=(*scenario.faults, *faults),
    )
