"""Draw a scenario from a seed."""

from __future__ import annotations

from random import Random
from typing import Final, Literal, cast

from msgspec.structs import replace

from fleet_q.adapters.snowflake.traits import MOST_WAITERS
from fleet_q.core.settings import PodSettings
from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.models import MODELS, Kind

MISFORTUNES: Final = 6.0
"""How much goes wrong with a pod in a simulation, on average."""

DAY: Final = 86_400.0

MISFORTUNES_A_DAY: Final = 2.0
"""The same for a day of a pod in a fleet that is sized to be measured."""

LONGEST_SCRIPT: Final = 8
"""Statements in a transaction, at most; trouble strikes before one of them."""

LAST: Final = -1
"""Or behind the last of them."""


def draw(
    seed: int,
    *,
    pods: int | None = None,
    hours: float | None = None,
    steps: int | None = None,
    store: Kind | None = None,
    settings: PodSettings | None = None,
) -> sc.Scenario:
    """The scenario of this seed. What is not given is drawn: a few pods for less than an hour,
    with settings of all kinds. A fleet of given size lives by ``settings``, or the default ones."""
    chance = Random(f"scenario {seed}")
    sized = pods is not None or hours is not None
    kind = store or cast("Kind", chance.choice(sorted(MODELS)))
    settings = (settings or PodSettings()) if sized else _settings(seed, chance)
    pod_count = pods or chance.randint(2, 7)
    seconds = hours * 3_600 if hours is not None else chance.uniform(600, 1_800)
    step_count = steps if steps is not None else _step_count(chance, sized, pod_count, seconds)
    names = [f"pod-{number:0{len(str(pod_count - 1))}}" for number in range(pod_count)]
    starts = tuple(_start(name, chance, seconds) for name in names)
    work = [_work(f"step-{number:06}", chance, sized) for number in range(step_count)]
    scenario = sc.Scenario(
        seed=seed,
        store=kind,
        settings=settings,
        seconds=seconds,
        pods=starts,
        requests=tuple(_requests(work, names, chance, seconds)),
        faults=(
            *_faults(names, chance, seconds, sized),
            *_fleet_faults(seed, names, kind, seconds, sized),
        ),
        most_waiters=MOST_WAITERS if sized else chance.choice([1, 2, MOST_WAITERS]),
        sized=sized,
    )
    return scenario if sized or steps is not None else _special(scenario, names)


def _special(scenario: sc.Scenario, pods: list[str]) -> sc.Scenario:
    """What seldom comes about by itself, in some of the scenarios."""
    chance = Random(f"scenario {scenario.seed}, special")
    roll = chance.random()
    on_sqlite = scenario.store == "sqlite"
    if roll < 0.25 and on_sqlite:
        return _with_a_heartbeat_from_the_future(scenario, chance)
    if roll < 0.25:  # SQLite's turns are too quick to prefetch for
        return _with_a_slowdown(scenario, chance)
    if roll < 0.5:
        return _left_alone(scenario, pods, chance)
    if roll < 0.6 and not on_sqlite:  # which turns nobody away
        return _with_lost_claims(scenario, pods, chance)
    if 0.5 <= roll < 0.75 and on_sqlite:  # where it is known afterwards what began
        return _with_deaths_after_claims(scenario, pods, chance)
    return scenario


def _with_a_slowdown(scenario: sc.Scenario, chance: Random) -> sc.Scenario:
    """Steps so quick that pods prefetch many, and slower and slower ones behind them."""
    seconds = [
        *[chance.uniform(0.01, 0.3)] * chance.randint(20, 60),
        *[chance.uniform(0.5, 5.0)] * chance.randint(0, 10),
        *[chance.uniform(60.0, 300.0)] * chance.randint(3, 12),
    ]
    steps = [sc.Work(step_id=f"slower-{i:03}", seconds=each) for i, each in enumerate(seconds)]
    at = chance.uniform(0, scenario.seconds * 0.9)
    ahead = chance.choice([100, 1_000])
    return replace(
        scenario,
        requests=(*scenario.requests, sc.Submission(at, tuple(steps))),
        settings=replace(scenario.settings, prefetch=ahead),
    )


def _left_alone(scenario: sc.Scenario, pods: list[str], chance: Random) -> sc.Scenario:
    """After much work and a pause in which they fall asleep, some pod gets a long step; then all
    but one die, for good."""
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


def _with_a_heartbeat_from_the_future(scenario: sc.Scenario, chance: Random) -> sc.Scenario:
    """The pod that leads dies for good while it holds steps, and then the clock is set back."""
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
    """Answers to claims are lost, and who asks again is turned away for a while."""
    strikes = [
        sc.TransactionFault(
            request.at, pod_id, statement=LAST, seconds=0.0, then="fails", contended=20.0
        )
        for request in scenario.requests
        if isinstance(request, sc.Submission)
        for pod_id in chance.sample(pods, 2)
    ]
    return replace(scenario, faults=(*scenario.faults, *strikes), most_waiters=1)


def _with_deaths_after_claims(
    scenario: sc.Scenario, pods: list[str], chance: Random
) -> sc.Scenario:
    """Pods die behind the commit of a claim, before any of its steps, on their only try, begins."""
    requests: list[sc.Request] = []
    strikes: list[sc.Fault] = []
    for number in range(3):
        at = chance.uniform(0.1, 0.9) * scenario.seconds
        steps = tuple(
            sc.Work(step_id=f"only-try-{number}-{i}", priority=9, max_retries=0, seconds=60.0)
            for i in range(4)
        )
        requests.append(sc.Submission(at, steps, chance.choice(pods)))
        strikes += [
            sc.TransactionFault(
                at, pod_id, statement=LAST, then="dies", back_after=chance.uniform(1, 60)
            )
            for pod_id in pods
        ]
    return replace(
        scenario,
        requests=(*scenario.requests, *requests),
        faults=(*scenario.faults, *strikes),
    )


def _step_count(chance: Random, sized: bool, pods: int, seconds: float) -> int:
    return round(pods * seconds / 360) if sized else chance.randint(10, 80)


def _settings(seed: int, chance: Random) -> PodSettings:
    pruning = Random(f"scenario {seed}, pruning")
    heartbeat = chance.choice([2.0, 5.0, 10.0])
    return PodSettings(
        heartbeat_interval=heartbeat,
        claim_interval=chance.choice([1.0, 5.0, 15.0]),
        recovery_interval=chance.choice([10.0, 30.0, 60.0]),
        max_parallelism=chance.randint(1, 6),
        capacity_threshold=chance.choice([0.8, 1.0]),
        prefetch=chance.choice([0, 0, 3, 1_000]),
        dead_pod_threshold=heartbeat * chance.randint(3, 6),
        retry_base_delay=chance.choice([0.0, 1.0, 5.0]),
        retry_max_delay=60.0,
        sleep_after=chance.choice([5.0, 60.0, 300.0]),
        shutdown_grace=chance.choice([0.0, 5.0, 25.0]),
        prune_after=pruning.choice([None, 5.0, 30.0, 120.0]),
    )


def _start(name: str, chance: Random, seconds: float) -> sc.Start:
    """Most are there from the beginning; some join in a wave."""
    at = chance.choice([0.0, 0.0, 0.0, seconds / 3]) + chance.uniform(0, 20)
    return sc.Start(name, at, rate=chance.choice([1.0, 1.0, chance.uniform(0.9, 1.1)]))


def _work(step_id: str, chance: Random, sized: bool) -> sc.Work:
    """In a fleet that is sized to measure it, misbehaviour is as rare as one may hope for."""
    roll = chance.random() * (20 if sized else 1)
    behaviour: sc.Behaviour = "succeeds"
    bad_attempts = 0
    if roll < 0.15:
        behaviour, bad_attempts = "fails", chance.randint(1, 6)
    elif roll < 0.18:
        behaviour, bad_attempts = "fails for good", 1
    elif roll < 0.21:
        behaviour, bad_attempts = "hangs", chance.randint(1, 2)
    elif roll < 0.23:
        behaviour, bad_attempts = "kills its pod", 99
    return sc.Work(
        step_id=step_id,
        priority=chance.choice([0, 0, 0, 1, 5]),
        max_retries=chance.choice([0, 1, 3, 3, 5]),
        delay=chance.choice([0.0, 0.0, 0.0, chance.uniform(0, 120)]),
        seconds=min(chance.lognormvariate(2.5, 1.2), 600.0),
        behaviour=behaviour,
        bad_attempts=bad_attempts,
        timeout=chance.uniform(60, 120) if behaviour == "hangs" or chance.random() < 0.2 else None,
    )


def _requests(
    work: list[sc.Work], pods: list[str], chance: Random, seconds: float
) -> list[sc.Request]:
    """Bursts and single steps, with droughts between them, since times are drawn in clusters."""
    requests: list[sc.Request] = []
    busy = [chance.uniform(0, seconds * 0.9) for _ in range(max(2, round(seconds / 600)))]
    left = list(work)
    while left:
        size = chance.choice([1, 1, 1, 1, 5, 20])
        batch, left = left[:size], left[size:]
        at = min(chance.choice(busy) + chance.expovariate(1 / 60), seconds * 0.95)
        pod_id = chance.choice([None, chance.choice(pods)])
        requests.append(sc.Submission(at, tuple(batch), pod_id, unique=chance.random() < 0.3))
        for each in batch:
            roll = chance.random()
            if roll < 0.04:
                requests.append(sc.Cancellation(at + chance.expovariate(1 / 30), each.step_id))
            if 0.03 < roll < 0.07:
                requests.append(sc.Replaying(at + chance.expovariate(1 / 200), each.step_id))
    return requests


def _faults(pods: list[str], chance: Random, seconds: float, sized: bool) -> list[sc.Fault]:
    bad_moments = MISFORTUNES_A_DAY * seconds / DAY if sized else MISFORTUNES
    faults: list[sc.Fault] = [
        sc.StoreOutage(chance.uniform(0, seconds), chance.choice([2.0, 20.0, 120.0]))
        for _ in range(chance.randint(0, 2))
    ]
    faults += [
        _strike(sc.CLIENT, chance, chance.uniform(0, seconds)) for _ in range(chance.randint(0, 8))
    ]
    for pod_id in pods:
        for _ in range(round(chance.uniform(0, 2 * bad_moments))):
            faults.append(_fault(pod_id, chance, chance.uniform(0, seconds), sized))
    if chance.random() < 0.5:  # a wave: everybody is stopped, one after the other, and comes back
        wave = chance.uniform(0, seconds)
        faults += [
            sc.Stop(wave + number * 5.0, pod_id, None, chance.uniform(1, 60))
            for number, pod_id in enumerate(pods)
        ]
    return faults


def _fleet_faults(
    seed: int, pods: list[str], kind: Kind, seconds: float, sized: bool
) -> list[sc.Fault]:
    """What happens to all at once, but in a fleet that is sized to be measured."""
    if sized:
        return []
    chance = Random(f"scenario {seed}, all at once")
    faults: list[sc.Fault] = []
    for _ in range(chance.randint(0, 2)):
        faults.append(sc.Suspension(chance.uniform(0, seconds), chance.choice([10.0, 60.0, 300.0])))
    for _ in range(chance.randint(0, 2)):
        faults.append(sc.LongLock(chance.uniform(0, seconds), chance.choice([5.0, 30.0, 90.0])))
    if kind == "sqlite":  # a server's clock is not set
        for _ in range(chance.randint(1, 4)):
            by = chance.choice([-900.0, -900.0, -60.0, -2.0, 2.0, 60.0, 3_600.0])
            at = chance.uniform(0, seconds)
            faults.append(sc.StoreClock(at, by))
            if by < 0 and chance.random() < 0.5:  # one that is dead by then was heard of later
                faults.append(sc.Crash(at - chance.uniform(0, 5), chance.choice(pods)))
    return faults


def _fault(pod_id: str, chance: Random, at: float, sized: bool) -> sc.Fault:
    """In a sized fleet, trouble strikes whatever happens to be under way."""
    back_after = _back_after(chance)
    match chance.choices(
        ["crash", "freeze", "double", "stop", "jump", "strike"],
        [3, 3, 1, 1, 1, 0 if sized else 8],
    )[0]:
        case "crash":
            return sc.Crash(at, pod_id, back_after)
        case "freeze":
            return sc.Freeze(at, pod_id, chance.choice([5.0, 30.0, 90.0, 400.0]))
        case "double":
            return sc.DuplicatePod(at, pod_id)
        case "stop":
            return sc.Stop(at, pod_id, chance.choice([None, 0.0, 5.0]), back_after)
        case "jump":
            return sc.ClockJump(at, pod_id, chance.choice([1.0, 60.0, 3_600.0]))
        case _:
            return _strike(pod_id, chance, at)


def _strike(name: str, chance: Random, at: float) -> sc.TransactionFault:
    then = chance.choice(["goes on", "fails", "fails", "dies"])
    return sc.TransactionFault(
        at,
        name,
        statement=chance.choice([chance.randrange(LONGEST_SCRIPT), LAST]),
        seconds=chance.choice([0.0, 0.0, 1.0, 30.0, 200.0]),
        then=cast('Literal["goes on", "fails", "dies"]', then),
        contended=chance.choice([0.0, 20.0, 20.0]),
        back_after=_back_after(chance),
    )


def _back_after(chance: Random) -> float | None:
    return chance.choice([None, 1.0, 10.0, chance.uniform(1, 300)])
