"""Pods on the real store and a virtual clock: an hour of their statements is counted in seconds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.calls import run
from fleet_q.core.errors import IncarnationEnded
from fleet_q.core.firing import FiringStats, fire_due
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.recovery import RecoveryStats, recovery_cycle
from fleet_q.core.retry import MICROS, micros
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Complete, Step, Submit
from fleet_q.core.worker.machine import PodMachine
from tests.standin.client import Schema

USUAL = PodSettings()
BEGAN = 1_700_000_000 * MICROS


class World:
    """A schema, its pods, and the clock that they share."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.now = 0.0
        self.pods: list[Pod] = []
        self.client = SnowflakeStore(schema.parameters)
        self._ids = count()
        self.pass_time(0)

    def pod(self, pod_id: str, settings: PodSettings = USUAL) -> Pod:
        """Add a pod. It acts only when called."""
        pod = Pod(self, pod_id, settings)
        self.pods.append(pod)
        return pod

    def submit(self, number: int = 1, delay: float = 0) -> list[str]:
        """Submit steps as a client; returns their ids."""
        ids = [f"step-{next(self._ids)}" for _ in range(number)]
        self.client.submit([Submit(i, "{}", delay=micros(delay), unique=True) for i in ids])
        return ids

    def pass_time(self, seconds: float) -> None:
        """Advance the clock; no pod acts meanwhile."""
        self.now += seconds
        self.schema.set(clock=BEGAN + micros(self.now))

    def live(self, seconds: float) -> None:
        """Advance the clock; every pod acts when something is due."""
        until = self.now + seconds
        while (at := min(pod.next_at for pod in self.pods)) <= until:
            if at > self.now:
                self.pass_time(at - self.now)
            for pod in self.pods:
                pod.do_what_is_due()
        self.pass_time(until - self.now)

    def close(self) -> None:
        for pod in self.pods:
            pod.store.close()
        self.client.close()


class Pod:
    """A pod of the real machine and the real store. Its functions take no time; while ``keeps`` is
    true, they never return."""

    def __init__(self, world: World, pod_id: str, settings: PodSettings) -> None:
        ids = count()
        self.pod_id = pod_id
        self.store = SnowflakeStore(world.schema.parameters)
        self.machine = PodMachine(
            pod_id,
            settings,
            new_id=lambda: f"{pod_id}-{next(ids)}",
            chance=random.Random(pod_id).random,
            traits=self.store.traits,
        )
        self.next_at = world.now
        self.keeps = False
        self.requests = 0
        self.done: list[str] = []
        self._world = world

    @property
    def asleep(self) -> bool:
        return self.machine.phase == "asleep"

    def do_what_is_due(self) -> None:
        """Act until nothing more is due now."""
        while self.next_at <= self._world.now:
            self.once()

    def once(self) -> SyncRequest | None:
        """Carry out one plan, as a pod's thread does; returns its request, if any."""
        now = self._world.now
        plan = self.machine.plan(now)
        called = plan.check_leader and self.machine.on_pods(self.store.pods(), now)
        called |= plan.poll and self.machine.on_change_counter(self.store.change_counter(), now)
        if plan.request is not None:
            self._take(plan.request)
        if plan.recover:
            self.recover()
        if plan.fire:
            self.fire()
            called = True
        self.next_at = max(plan.next_at, now) if not (plan.request or called) else now
        return plan.request

    def fire(self) -> None:
        """Fire the schedules that are due."""
        stats, failed = FiringStats(), list[str]()
        run(self.store, fire_due(CALENDAR, self.pod_id, stats, lambda name, _: failed.append(name)))
        assert failed == []
        self.machine.on_fired(stats, None, self._world.now)

    def die(self) -> None:
        """Stop acting, without leaving the fleet."""
        self._world.pods.remove(self)
        self.store.close()

    def watch_for_a_threshold(self) -> None:
        """Watch the pods for a whole dead-pod threshold."""
        self.recover()
        self._world.live(self.machine.settings.dead_pod_threshold - 1)
        self._world.pass_time(1)
        self.machine.silence.on_heartbeat(self._world.now)

    def recover(self) -> None:
        """Run a recovery cycle, if this pod leads."""
        program = recovery_cycle(
            SqliteRecoveryQueue(),
            silent=lambda fleet: self.machine.silent(fleet, self._world.now),
            starts=self.store.starts,
            dead_after=micros(self.machine.settings.dead_pod_threshold),
            by=self.pod_id,
            only_as_leader=True,
            stats=RecoveryStats(),
        )
        run(self.store, program)

    def _take(self, request: SyncRequest) -> None:
        self.requests += 1
        try:
            result: SyncResult = self.store.sync(request)
        except IncarnationEnded:
            self.machine.on_incarnation_ended()
            return
        self._run(self.machine.on_synced(request, result, self._world.now))

    def _run(self, steps: Sequence[Step]) -> None:
        for step in () if self.keeps else steps:
            assert step.claim_token is not None
            self.done.append(step.step_id)
            self.machine.finished(Complete(step.step_id, step.claim_token, "null"))


@contextmanager
def world_in(schema: Schema) -> Iterator[World]:
    world = World(schema)
    try:
        yield world
    finally:
        world.close()
