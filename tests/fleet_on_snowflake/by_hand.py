"""Pods driven by hand on the real store, in a time that passes only when told to: what they say to
Snowflake in an hour can be counted in seconds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count

from fleet_q.adapters.recovery_queue import SqliteRecoveryQueue
from fleet_q.adapters.snowflake.store import SnowflakeStore
from fleet_q.core.calls import run
from fleet_q.core.errors import IncarnationEnded
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
    """A schema, its pods, and the time that is the same for all of them."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.now = 0.0
        self.pods: list[Pod] = []
        self.client = SnowflakeStore(schema.parameters)
        self._ids = count()
        self.pass_time(0)

    def pod(self, pod_id: str, settings: PodSettings = USUAL) -> Pod:
        """One more pod. It does nothing by itself."""
        pod = Pod(self, pod_id, settings)
        self.pods.append(pod)
        return pod

    def submit(self, number: int = 1, delay: float = 0) -> list[str]:
        """Steps of somebody who is no pod."""
        ids = [f"step-{next(self._ids)}" for _ in range(number)]
        self.client.submit([Submit(i, "{}", delay=micros(delay), unique=True) for i in ids])
        return ids

    def pass_time(self, seconds: float) -> None:
        """Let nobody do anything meanwhile."""
        self.now += seconds
        self.schema.set(clock=BEGAN + micros(self.now))

    def live(self, seconds: float) -> None:
        """Let time pass, and every pod do what is due when it is due."""
        until = self.now + seconds
        while (at := min(pod.look_again for pod in self.pods)) <= until:
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
    """The real machine and the real store; its steps take no time, or as long as it ``keeps``
    them."""

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
        self.look_again = world.now
        self.keeps = False
        self.requests = 0
        self.done: list[str] = []
        self._world = world

    @property
    def asleep(self) -> bool:
        return self.machine.phase == "asleep"

    def do_what_is_due(self) -> None:
        """All that is due now."""
        while self.look_again <= self._world.now:
            self.once()

    def once(self) -> SyncRequest | None:
        """One plan, carried out as the pod's own thread does it; the turn, if there was one."""
        now = self._world.now
        plan = self.machine.plan(now)
        called = plan.check_leader and self.machine.on_pods(self.store.pods(), now)
        called |= plan.poll and self.machine.on_change_counter(self.store.change_counter(), now)
        if plan.request is not None:
            self._take(plan.request)
        if plan.recover:
            self.recover()
        self.look_again = max(plan.next_at, now) if not (plan.request or called) else now
        return plan.request

    def die(self) -> None:
        """Do nothing any more, and leave everything as it is."""
        self._world.pods.remove(self)
        self.store.close()

    def watch_for_a_threshold(self) -> None:
        """Look at the pods, and let so much time pass that it has missed those that died."""
        self.recover()
        self._world.live(self.machine.settings.dead_pod_threshold - 1)
        self._world.pass_time(1)
        self.machine.silence.on_heartbeat(self._world.now)

    def recover(self) -> None:
        """A recovery cycle, if it leads."""
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
            answer: SyncResult = self.store.sync(request)
        except IncarnationEnded:
            self.machine.on_incarnation_ended()
            return
        self._run(self.machine.on_synced(request, answer, self._world.now))

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
