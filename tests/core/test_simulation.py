"""A fleet of fifty pods through hours of trouble, in virtual time, by a seed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from random import Random

import pytest

from fleet_q.adapters.memory import MemoryStore
from fleet_q.adapters.recovery_queue import SqliteDeadLetterTable
from fleet_q.core.audit import audit
from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.events import StepEvent
from fleet_q.core.machine import PodMachine
from fleet_q.core.pod import Sleep
from fleet_q.core.ports import Manners, Turn
from fleet_q.core.recovery import RecoveryStats, recovery_cycle
from fleet_q.core.retry import micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Complete, Step, Submit
from tests.core.helpers import assert_waits_well

HOUR = 3_600.0
CHEAP = Manners()
SETTINGS = PodSettings(
    heartbeat_interval=20.0,
    claim_interval=15.0,
    recovery_interval=60.0,
    max_parallelism=3,
    retry_base_delay=5.0,
    retry_max_delay=60.0,
)


def result_of(token: str | None) -> str:
    """What a function returns tells under which claim it ran."""
    return f'"{token}"'


class Fleet:
    """The clock, the store, the chance, and the agenda of all that is going to happen."""

    def __init__(self, seed: int, pods: int, steps: int, trouble: float, manners: Manners) -> None:
        self.now = 0.0
        self.manners = manners
        self.chance = Random(seed)
        self.store = MemoryStore(lambda: micros(self.now))
        self.trouble_ends = trouble
        self.recovered = RecoveryStats()
        self.incidents: dict[str, int] = {}
        self.ids = count()
        self.order = count()
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.pods = {f"pod-{n}": Pod(self, f"pod-{n}") for n in range(pods)}
        for pod_id in self.pods:
            self.at(self.chance.uniform(0, 60), partial(self.begin, pod_id))
        for n in range(steps):
            self.at(self.chance.uniform(0, trouble), partial(self.submit, f"step-{n:05}"))

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.agenda, (when, next(self.order), what))

    def run(self, until: float) -> None:
        while self.agenda and self.agenda[0][0] <= until:
            self.now, _, what = heapq.heappop(self.agenda)
            what()
        self.now = until

    def happens(self, what: str, probability: float) -> bool:
        """Whether this goes wrong now; each kind of trouble is counted."""
        goes_wrong = self.now < self.trouble_ends and self.chance.random() < probability
        self.incidents[what] = self.incidents.get(what, 0) + goes_wrong
        return goes_wrong

    def submit(self, step_id: str) -> None:
        delay = micros(self.chance.choice([0, 0, 30]))
        priority = self.chance.randrange(3)
        self.store.submit([Submit(step_id, "{}", priority, self.chance.randrange(2, 6), delay)])
        self.chance.choice(list(self.pods.values())).work_arrived()

    def begin(self, pod_id: str) -> None:
        """Start a process as this pod; whatever process still runs under the id is superseded."""
        self.pods[pod_id] = pod = Pod(self, pod_id)
        pod.live()
        self.at(self.now + self.chance.expovariate(1 / HOUR), partial(self.trouble, pod))

    def trouble(self, pod: Pod) -> None:
        """Once in a pod's life: its process is killed, stands still, is stopped, or doubled."""
        if self.now > self.trouble_ends or not pod.alive:
            return
        kind = self.chance.choice(["killed", "frozen", "drained", "doubled"])
        self.incidents[kind] = self.incidents.get(kind, 0) + 1
        again = self.now + self.chance.uniform(1, 300)
        match kind:
            case "killed":
                pod.alive = False
            case "frozen":
                pod.frozen_until = again
                self.at(again, pod.live)
                self.at(again + HOUR / 2, partial(self.trouble, pod))
                return
            case "drained":
                pod.machine.drain(self.now, self.chance.choice([0, 5, None]))
                self.at(self.now, pod.live)
        self.at(again, partial(self.begin, pod.pod_id))

    def stop(self) -> None:
        for pod in self.pods.values():
            if pod.alive:
                pod.machine.drain(self.now)
                pod.live()


class Pod:
    """A process: the shell around one machine, with functions that only take time."""

    def __init__(self, fleet: Fleet, pod_id: str) -> None:
        self.fleet = fleet
        self.pod_id = pod_id
        self.alive = True
        self.frozen_until = 0.0
        self.wakes_at: float | None = None
        self.attempts: set[tuple[str, str]] = set()
        self.recovery: Iterator[None] | None = None
        self.machine = PodMachine(
            pod_id,
            SETTINGS,
            new_id=lambda: f"id-{next(fleet.ids)}",
            chance=fleet.chance.random,
            manners=fleet.manners,
        )

    def work_arrived(self) -> None:
        self.machine.work_arrived()
        self.fleet.at(self.fleet.now, self.live)

    def live(self) -> None:
        """Do all that is due, and wake up when something is due again."""
        now = self.fleet.now
        while self.alive and now >= self.frozen_until:
            plan = self.machine.plan(now)
            assert_waits_well(plan, now)
            self.attempts.difference_update(plan.abandon)
            if plan.gone:
                self.alive = False
                return
            if plan.recover and self.recovery is None:
                self.recovery = self.new_recovery()
            called = plan.look and self.machine.saw(self.fleet.store.pods(), now)
            called |= plan.listen and self.listen()
            if plan.turn is not None:
                self.take(plan.turn)
            if self.recovery is not None:
                self.recover_on()
            if plan.turn is None and not called and self.recovery is None:
                if self.wakes_at is None or not now < self.wakes_at <= plan.look_again:
                    self.wakes_at = plan.look_again
                    self.fleet.at(plan.look_again, self.live)
                return

    def listen(self) -> bool:
        if self.fleet.happens("bell not heard", 0.01):
            self.machine.unanswered(self.fleet.now)
            return True
        return self.machine.heard(self.fleet.store.bell(), self.fleet.now)

    def take(self, turn: Turn) -> None:
        fleet = self.fleet
        if fleet.happens("store away", 0.01):
            self.machine.unanswered(fleet.now)
            return
        try:
            answer = fleet.store.turn(turn)
        except IncarnationEnded as ended:
            if ended.superseded:
                assert fleet.pods[self.pod_id] is not self
                self.alive = False
            else:
                self.machine.ended()
            return
        if fleet.happens("answer lost", 0.02):
            self.machine.unanswered(fleet.now)
            return
        if isinstance(turn.presence, Sleep):
            fleet.incidents["fell asleep"] = fleet.incidents.get("fell asleep", 0) + 1
        for step in self.machine.answered(turn, answer, fleet.now):
            self.start(step, turn.claim_token)

    def start(self, step: Step, token: str) -> None:
        self.attempts.add((step.step_id, token))
        self.machine.began(step.step_id, token, 200.0, self.fleet.now)
        ends = self.fleet.now + self.fleet.chance.lognormvariate(4.0, 1.0)
        self.fleet.at(ends, partial(self.end, step, token))

    def end(self, step: Step, token: str) -> None:
        """A function returns, if its process is still there. Once abandoned, some still do."""
        now = self.fleet.now
        if not self.alive:
            return
        if now < self.frozen_until:
            self.fleet.at(self.frozen_until, partial(self.end, step, token))
            return
        if (step.step_id, token) in self.attempts:
            self.attempts.remove((step.step_id, token))
        elif self.fleet.chance.random() < 0.5:
            return
        if self.fleet.happens("function fails", 0.1):
            self.machine.finished(self.machine.fail(step.step_id, token, step.attempt, "Boom"))
        else:
            self.machine.finished(Complete(step.step_id, token, result_of(token)))
        self.live()

    def new_recovery(self) -> Iterator[None]:
        return recovery_cycle(
            self.fleet.store,
            SqliteDeadLetterTable(),
            silent=lambda fleet: self.machine.silent(fleet, self.fleet.now),
            dead_after=micros(SETTINGS.dead_pod_threshold),
            by=self.pod_id,
            only_as_leader=True,
            stats=self.fleet.recovered,
        )

    def recover_on(self) -> None:
        assert self.recovery is not None
        ends = next(self.recovery, "end") == "end"
        if ends or self.fleet.happens("recovery cut off", 0.2):
            self.recovery = None


def simulate(
    seed: int,
    *,
    pods: int = 50,
    steps: int = 3_000,
    hours: float = 3,
    manners: Manners = CHEAP,
) -> Fleet:
    """Trouble for some hours, quiet until all is done, and then an orderly end."""
    fleet = Fleet(seed, pods, steps, hours * HOUR, manners)
    fleet.run(until=(hours + 1) * HOUR)
    fleet.stop()
    fleet.run(until=(hours + 2) * HOUR)
    return fleet


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_through_hours_of_trouble_no_step_is_lost_or_completed_twice(seed: int) -> None:
    fleet = simulate(seed)
    report = audit(fleet.store.step_events())
    assert report.faults == []
    assert report.unfinished == 0
    assert report.completed + report.failed == report.steps == 3_000
    assert fleet.store.rebuild(check=True).equal

    assert all(fleet.incidents.values()), fleet.incidents
    assert report.recovered > 20
    assert report.released > 5
    assert report.retried > 50
    assert fleet.recovered.dead_pods > 5
    assert fleet.recovered.resubmitted == report.recovered

    assert not any(pod.alive for pod in fleet.pods.values())
    assert {pod.status for pod in fleet.store.pods().pods} == {"down"}
    for step in steps_of(fleet):
        if step.status == "completed":
            assert step.result == result_of(step.claim_token)


@pytest.mark.parametrize("seed", [5, 7])
def test_nor_where_pods_fall_asleep_and_go_by_the_bell(seed: int) -> None:
    fleet = simulate(seed, pods=12, steps=60, manners=Manners(dear=True))
    report = audit(fleet.store.step_events())
    assert (report.faults, report.unfinished, report.steps) == ([], 0, 60)
    assert fleet.store.rebuild(check=True).equal
    assert report.recovered > 0
    assert fleet.incidents["fell asleep"] > 50


def steps_of(fleet: Fleet) -> list[Step]:
    ids = {event.stream for event in fleet.store.step_events()}
    return [step for step_id in ids if (step := fleet.store.step(step_id)) is not None]


def test_the_same_seed_leads_to_the_same_log() -> None:
    def story(seed: int) -> list[StepEvent]:
        return list(simulate(seed, pods=8, steps=60, hours=0.5).store.step_events())

    once, again, other = story(3), story(3), story(4)
    assert [event.fact.type for event in once] != [event.fact.type for event in other]
    assert [(e.stream, e.version, e.at, e.pod_id, e.fact.type) for e in once] == [
        (e.stream, e.version, e.at, e.pod_id, e.fact.type) for e in again
    ]
