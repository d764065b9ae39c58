"""Generates scenarios from seeds."""

from __future__ import annotations

from random import Random
from typing import Final, Literal, cast

from msgspec.structs import replace

from fleet_q.adapters.snowflake.times import MEASURED, Times
from fleet_q.adapters.snowflake.traits import MOST_WAITERS
from fleet_q.core.settings import PodSettings
from fleet_q.services.simulation import scenario as sc
from fleet_q.services.simulation.alerts import with_alerts
from fleet_q.services.simulation.children import with_children
from fleet_q.services.simulation.later import with_later_steps
from fleet_q.services.simulation.limited_queues import with_limited_queues
from fleet_q.services.simulation.models import KINDS, Kind
from fleet_q.services.simulation.pod_routes import with_routes
from fleet_q.services.simulation.priorities import with_new_priorities
from fleet_q.services.simulation.rare_cases import AFTER_LAST, with_rare_case
from fleet_q.services.simulation.saving import with_checkpoints
from fleet_q.services.simulation.schedules import with_schedules
from fleet_q.services.simulation.snowflake_faults import (
    snowflake_faults,
    with_errors,
    with_large_results,
)
from fleet_q.services.simulation.unique_keys import with_unique_keys
from fleet_q.services.simulation.workflows import with_workflows

FAULTS_PER_POD: Final = 6.0
"""Faults of a pod in one simulation, on average."""

DAY: Final = 86_400.0

FAULTS_PER_POD_DAY: Final = 2.0
"""Faults of a pod a day, on average, in a fleet of given size, which is measured."""

BURST_STEPS: Final = 10_000
BURST_PODS: Final = 20

LONGEST_SCRIPT: Final = 8
"""Requests in a transaction, at most; a transaction fault occurs before one of them."""


def draw(
    seed: int,
    *,
    pods: int | None = None,
    hours: float | None = None,
    steps: int | None = None,
    store: Kind | None = None,
    settings: PodSettings | None = None,
    times: Times = MEASURED,
    clusters: int = 1,
) -> sc.Scenario:
    """Return the scenario of the seed. Parameters that are ``None`` are drawn: a few pods, less
    than an hour, random settings. A fleet of given ``pods`` or ``hours`` is measured, and uses
    ``settings``, or the defaults. ``times`` and ``clusters`` are those of Snowflake's warehouse."""
    chance = Random(f"scenario {seed}")
    is_measured = pods is not None or hours is not None
    kind = store if store is not None else chance.choice(KINDS)
    settings = (settings or PodSettings()) if is_measured else _settings(seed, chance, kind)
    pod_count = pods or chance.randint(2, 7)
    seconds = hours * 3_600 if hours is not None else chance.uniform(600, 1_800)
    step_count = (
        steps if steps is not None else _step_count(chance, is_measured, pod_count, seconds)
    )
    names = [f"pod-{number:0{len(str(pod_count - 1))}}" for number in range(pod_count)]
    starts = tuple(_start(name, chance, seconds) for name in names)
    if not is_measured:
        starts = _some_by_hand(seed, starts)
    work = [_work(f"step-{number:06}", chance, is_measured) for number in range(step_count)]
    if not is_measured:
        work = with_large_results(seed, work)
    scenario = sc.Scenario(
        seed=seed,
        store=kind,
        settings=settings,
        seconds=seconds,
        pods=starts,
        requests=tuple(_requests(work, names, chance, seconds)),
        faults=(
            *with_errors(seed, kind, _faults(names, chance, seconds, is_measured)),
            *_fleet_faults(seed, names, kind, seconds, is_measured),
            *snowflake_faults(seed, names, kind, seconds, is_measured),
        ),
        most_waiters=MOST_WAITERS if is_measured else chance.choice([1, 2, MOST_WAITERS]),
        times=times,
        clusters=clusters,
        is_measured=is_measured,
    )
    if is_measured or steps is not None:
        return scenario
    scenario = _with_inbox(with_unique_keys(scenario))
    scenario = with_limited_queues(with_workflows(scenario))
    scenario = with_routes(with_schedules(scenario))
    scenario = with_new_priorities(with_later_steps(scenario))
    scenario = with_children(with_checkpoints(scenario))
    scenario = with_alerts(scenario)
    return with_rare_case(scenario, [pod.pod_id for pod in scenario.pods])


def burst(
    seed: int, *, store: Kind, settings: PodSettings, times: Times = MEASURED, clusters: int = 1
) -> sc.Scenario:
    """Return a scenario without faults: a burst of steps that take no time, which pods of eight
    slots find when they are up."""
    work = tuple(sc.Work(step_id=f"step-{number:06}", seconds=0.0) for number in range(BURST_STEPS))
    return sc.Scenario(
        seed=seed,
        store=store,
        settings=replace(settings, max_parallelism=8, capacity_threshold=1.0),
        seconds=3_600.0,
        pods=tuple(sc.Start(f"pod-{number:02}", number * 0.5) for number in range(BURST_PODS)),
        requests=(sc.Submission(45.0, work, unique=True),),
        faults=(),
        name="burst",
        times=times,
        clusters=clusters,
        is_measured=True,
    )


def _with_inbox(scenario: sc.Scenario) -> sc.Scenario:
    """Let some submissions insert rows into the inbox, of which few are invalid."""
    chance = Random(f"scenario {scenario.seed}, inbox")
    share = chance.choice([0.0, 0.3])
    requests = list(scenario.requests)
    for place, request in enumerate(requests):
        if isinstance(request, sc.Submission) and chance.random() < share:
            steps = tuple(replace(w, is_valid=chance.random() > 0.05) for w in request.steps)
            requests[place] = replace(request, steps=steps, unique=False, inbox=True)
    return replace(scenario, requests=tuple(requests))


def _step_count(chance: Random, is_measured: bool, pods: int, seconds: float) -> int:
    return round(pods * seconds / 360) if is_measured else chance.randint(10, 80)


def _settings(seed: int, chance: Random, kind: Kind) -> PodSettings:
    """Draw settings. On Snowflake a sync takes seconds, so heartbeats must not be closer."""
    pruning = Random(f"scenario {seed}, pruning")
    sleeping = Random(f"scenario {seed}, sleeping")
    heartbeat = chance.choice([2.0, 5.0, 10.0] if kind == "sqlite" else [8.0, 10.0, 20.0])
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
        sleep_poll_interval=sleeping.choice([1.0, 30.0, 60.0]),
        shutdown_grace=chance.choice([0.0, 5.0, 25.0]),
        prune_after=pruning.choice([None, 5.0, 30.0, 120.0]),
    )


def _start(name: str, chance: Random, seconds: float) -> sc.Start:
    """Most pods start at the beginning; some join together later."""
    at = chance.choice([0.0, 0.0, 0.0, seconds / 3]) + chance.uniform(0, 20)
    return sc.Start(name, at, rate=chance.choice([1.0, 1.0, chance.uniform(0.9, 1.1)]))


def _some_by_hand(seed: int, starts: tuple[sc.Start, ...]) -> tuple[sc.Start, ...]:
    """Draw which pods are by hand: none in most fleets, else about half of them."""
    chance = Random(f"scenario {seed}, by hand")
    if chance.random() > 0.3:
        return starts
    return tuple(replace(start, by_hand=chance.random() < 0.5) for start in starts)


def _work(step_id: str, chance: Random, is_measured: bool) -> sc.Work:
    """Draw a step. In a fleet that is measured, a twentieth as many steps misbehave."""
    roll = chance.random() * (20 if is_measured else 1)
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
    """Submissions in bursts and one by one, clustered around a few times with pauses between."""
    requests: list[sc.Request] = []
    busy_times = [chance.uniform(0, seconds * 0.9) for _ in range(max(2, round(seconds / 600)))]
    remaining = list(work)
    while remaining:
        size = chance.choice([1, 1, 1, 1, 5, 20])
        batch, remaining = remaining[:size], remaining[size:]
        at = min(chance.choice(busy_times) + chance.expovariate(1 / 60), seconds * 0.95)
        pod_id = chance.choice([None, chance.choice(pods)])
        requests.append(sc.Submission(at, tuple(batch), pod_id, unique=chance.random() < 0.3))
        for item in batch:
            roll = chance.random()
            if roll < 0.04:
                requests.append(sc.Cancellation(at + chance.expovariate(1 / 30), item.step_id))
            if 0.03 < roll < 0.07:
                replayed_at = min(at + chance.expovariate(1 / 200), seconds)
                requests.append(sc.Replaying(replayed_at, item.step_id))
    return requests


def _faults(pods: list[str], chance: Random, seconds: float, is_measured: bool) -> list[sc.Fault]:
    average = FAULTS_PER_POD_DAY * seconds / DAY if is_measured else FAULTS_PER_POD
    faults: list[sc.Fault] = [
        sc.StoreOutage(chance.uniform(0, seconds), chance.choice([2.0, 20.0, 120.0]))
        for _ in range(chance.randint(0, 2))
    ]
    faults += [
        _transaction_fault(sc.CLIENT, chance, chance.uniform(0, seconds))
        for _ in range(chance.randint(0, 8))
    ]
    for pod_id in pods:
        drawn = chance.uniform(0, 2 * average)
        for _ in range(int(drawn + chance.random()) if is_measured else round(drawn)):
            faults.append(_fault(pod_id, chance, chance.uniform(0, seconds), is_measured))
    if chance.random() < 0.5:  # a rolling restart of all pods
        begin = chance.uniform(0, seconds)
        faults += [
            sc.Stop(begin + number * 5.0, pod_id, None, chance.uniform(1, 60))
            for number, pod_id in enumerate(pods)
        ]
    return faults


def _fleet_faults(
    seed: int, pods: list[str], kind: Kind, seconds: float, is_measured: bool
) -> list[sc.Fault]:
    """Faults of the whole fleet; none in a fleet that is measured."""
    if is_measured:
        return []
    chance = Random(f"scenario {seed}, all at once")
    faults: list[sc.Fault] = []
    for _ in range(chance.randint(0, 2)):
        faults.append(sc.Suspension(chance.uniform(0, seconds), chance.choice([10.0, 60.0, 300.0])))
    for _ in range(chance.randint(0, 2)):
        faults.append(sc.LongLock(chance.uniform(0, seconds), chance.choice([5.0, 30.0, 90.0])))
    if kind == "sqlite":  # the clock of Snowflake's servers is never set
        for _ in range(chance.randint(1, 4)):
            by = chance.choice([-900.0, -900.0, -60.0, -2.0, 2.0, 60.0, 3_600.0])
            at = chance.uniform(0, seconds)
            faults.append(sc.StoreClock(at, by))
            if by < 0 and chance.random() < 0.5:  # its last heartbeat lies in the future
                faults.append(sc.Crash(at - chance.uniform(0, 5), chance.choice(pods)))
    return faults


def _fault(pod_id: str, chance: Random, at: float, is_measured: bool) -> sc.Fault:
    """Draw a fault of one pod. A fleet that is measured has no transaction faults."""
    back_after = _back_after(chance)
    match chance.choices(
        ["crash", "freeze", "double", "stop", "jump", "transaction"],
        [3, 3, 1, 1, 1, 0 if is_measured else 8],
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
            return _transaction_fault(pod_id, chance, at)


def _transaction_fault(name: str, chance: Random, at: float) -> sc.TransactionFault:
    then = chance.choice(["goes on", "fails", "fails", "dies"])
    return sc.TransactionFault(
        at,
        name,
        statement=chance.choice([chance.randrange(LONGEST_SCRIPT), AFTER_LAST]),
        seconds=chance.choice([0.0, 0.0, 1.0, 30.0, 200.0]),
        then=cast('Literal["goes on", "fails", "dies"]', then),
        contended=chance.choice([0.0, 20.0, 20.0]),
        back_after=_back_after(chance),
    )


def _back_after(chance: Random) -> float | None:
    return chance.choice([None, 1.0, 10.0, chance.uniform(1, 300)])
