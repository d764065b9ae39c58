"""Random histories of a store, and what was seen of it at each moment."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any, Final

from msgspec.structs import asdict

from fleet_q.adapters.calendar import CALENDAR
from fleet_q.core import schedules
from fleet_q.core.errors import FleetQError
from fleet_q.core.lifecycle import StepStatus
from fleet_q.core.pod import Drain, Join, Leave, PodCommand, SendHeartbeat, Sleep
from fleet_q.core.ports import Store, SyncRequest
from fleet_q.core.queues import QueueChange
from fleet_q.core.rate import Rate
from fleet_q.core.schedules import Definition, ScheduleStatus
from fleet_q.core.search import StepFilter
from fleet_q.core.step import (
    Complete,
    Fail,
    Outcome,
    Recover,
    Release,
    Reprioritize,
    SaveCheckpoint,
    Snooze,
    Submit,
)
from tests.conformance.clock import SECOND, FakeClock

BOOKKEEPING: Final = ("next_ts", "last_ts", "last_step_id", "skipped", "firings")
"""What the log does not have of a schedule."""


@dataclass(frozen=True)
class Sight:
    """What was seen of a store at a moment, without what its log does not have."""

    at: int
    counts: dict[StepStatus, int]
    types: dict[tuple[str, str], Counter[str]]
    steps: list[dict[str, Any]]
    queues: list[dict[str, Any]]
    schedules: list[dict[str, Any]]
    pods: list[dict[str, Any]]


def look(store: Store) -> Sight:
    """What is seen of the store now."""
    stats = store.queue_stats(1)
    listed = store.list_steps(StepFilter(), 1_000)
    return Sight(
        at=listed.at,
        counts=store.counts(),
        types={
            (each.queue, each.task_type): +Counter(
                {
                    status: getattr(each, status)
                    for status in ("pending", "waiting", "claimed", "failed")
                }
            )
            for each in stats.types
            if each.pending or each.waiting or each.claimed or each.failed
        },
        steps=[asdict(step) | {"progress": None} for step in listed.steps],
        queues=[asdict(queue) | {"tokens": 0, "refilled_ts": 0} for queue in store.queues()],
        schedules=[asdict(row) | dict.fromkeys(BOOKKEEPING) for row in store.schedules().schedules],
        pods=[asdict(pod) | {"last_heartbeat_ts": 0} for pod in store.described_pods().pods],
    )


class History:
    """Does random things to ``store``, whose clock is ``clock``."""

    def __init__(self, store: Store, clock: FakeClock, random: Random) -> None:
        self.seen: list[Sight] = []
        self._store = store
        self._clock = clock
        self._random = random
        self._names = (f"{number:03}" for number in count())
        self._held: list[tuple[str, str, str, str]] = []  # step, token, pod, incarnation
        self._pods: dict[str, str] = {}  # incarnations by id
        self._steps: list[str] = []

    def run(self, times: int) -> None:
        """Do so many things, and look after each."""
        for _ in range(times):
            self._clock.advance(self._random.choice([0, 0.5, 7, 61, 200]))
            act = self._random.choice(
                [self._submit, self._submit, self._claim, self._claim, self._end, self._end,
                 self._end, self._join, self._command, self._die, self._change, self._limit,
                 self._schedule]
            )  # fmt: skip
            try:
                act()
            except FleetQError:
                continue
            self.seen = [seen for seen in self.seen if seen.at < self._clock()]
            self.seen.append(look(self._store))

    def _submit(self) -> None:
        random = self._random
        names = [next(self._names) for _ in range(random.randint(1, 3))]
        parents = None
        if self._steps and random.random() < 0.3:
            parents = (
                f'{{"{random.choice(self._steps)}":"{random.choice(["success", "finished"])}"}}'
            )
        options: dict[str, Any] = {
            "priority": random.choice([0, 5]),
            "max_retries": random.choice([0, 2]),
            "queue": random.choice(["default", "gpu"]),
            "task_type": random.choice(["load", "send"]),
            "delay": random.choice([0, 0, 20 * SECOND]),
            "labels": random.choice([None, '{"day":"1"}']),
            "workflow_id": random.choice([None, "flow"]),
            "parents": parents,
        }
        if random.random() < 0.2:
            options |= {"unique_key": "key", "on_conflict": random.choice(["existing", "replace"])}
        stored = self._store.submit([Submit(name, "{}", **options) for name in names])
        self._steps += [result.step_id for result in stored if result.is_new]

    def _claim(self) -> None:
        if self._pods:
            pod_id = self._random.choice(sorted(self._pods))
            token = next(self._names)
            request = SyncRequest(pod_id, self._pods[pod_id], claim=2, claim_token=token)
            for step in self._store.sync(request).claimed:
                self._held.append((step.step_id, token, pod_id, self._pods[pod_id]))

    def _end(self) -> None:
        if not self._held:
            return
        step_id, token, pod_id, incarnation = held = self._random.choice(self._held)
        step = self._store.step(step_id)
        if step is not None and self._random.random() < 0.2:
            self._store.save_checkpoint(SaveCheckpoint(step_id, token, "{}", step.version), pod_id)
            return
        outcomes: list[Outcome] = [
            Complete(step_id, token, "1"),
            Complete(step_id, token, "2"),
            Fail(step_id, token, "ValueError: no", "trace", retry_delay=3 * SECOND),
            Fail(step_id, token, "Boom", permanent=True),
            Release(step_id, token),
            Snooze(step_id, token, retry_delay=30 * SECOND),
        ]
        outcome = self._random.choice(outcomes)
        self._held.remove(held)
        self._store.sync(SyncRequest(pod_id, incarnation, outcomes=(outcome,)))

    def _join(self) -> None:
        pod_id = self._random.choice(["a", "b", "c"])
        self._pods[pod_id] = incarnation = next(self._names)
        self._store.sync(SyncRequest(pod_id, incarnation, Join(pod_id, incarnation)))

    def _command(self) -> None:
        if self._pods:
            pod_id = self._random.choice(sorted(self._pods))
            commands: list[type[PodCommand]] = [SendHeartbeat, Sleep, Drain, Leave]
            command = self._random.choice(commands)
            incarnation = self._pods[pod_id]
            if command is Leave:
                del self._pods[pod_id]
            self._store.sync(SyncRequest(pod_id, incarnation, command(pod_id, incarnation)))

    def _die(self) -> None:
        pods = [pod for pod in self._store.pods().pods if self._random.random() < 0.3]
        for pod in self._store.declare_dead(pods, "a"):
            self._pods.pop(pod.pod_id, None)
        orphans = self._store.orphans("", 10)
        self._store.recover([Recover(o.step_id, o.claim_token) for o in orphans], "a")

    def _change(self) -> None:
        if self._steps:
            step_id = self._random.choice(self._steps)
            what = self._random.choice(["cancel", "replay", "replay", "first"])
            if what == "cancel":
                self._store.cancel(step_id)
            elif what == "replay":
                self._store.replay([step_id])
            else:
                self._store.change_allowed([Reprioritize(step_id, self._random.randint(0, 9))])

    def _limit(self) -> None:
        change = QueueChange(
            max_running=self._random.choice([None, 5]),
            rate=self._random.choice([None, Rate(100, 60 * SECOND)]),
            paused=self._random.random() < 0.1,
        )
        self._store.set_queue(self._random.choice(["default", "gpu"]), change, "ops")

    def _schedule(self) -> None:
        listed = self._store.schedules()
        name = self._random.choice(["hourly", "nightly"])
        row = next((row for row in listed.schedules if row.schedule == name), None)
        every = self._random.choice([60, 3_600]) * SECOND
        submit = Submit("", "{}", task_type="load")
        write = schedules.put(row, Definition(name, submit, every=every), listed.at, "me", CALENDAR)
        if row is not None and self._random.random() < 0.6:
            statuses: list[ScheduleStatus] = ["paused", "active", "deleted"]
            status = self._random.choice(statuses)
            write = schedules.set_status(row, status, listed.at, "me", CALENDAR)
        if write is not None:
            self._store.write_schedule(write)
