"""What the tests of core share: rows made by commands, and a driver for one machine."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from math import inf
from typing import Any, Final

from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.pod import AnyPodCommand, Pod
from fleet_q.core.ports import StoreTraits, SyncRequest, SyncResult
from fleet_q.core.retry import MICROS
from fleet_q.core.settings import PodSettings
from fleet_q.core.step import Cancel, Claim, Complete, Fail, Step, StepCommand, Submit
from fleet_q.core.worker.machine import PodMachine
from fleet_q.core.worker.plan import Plan

AT: Final = 1_000 * MICROS
"""A time of the store's clock."""


def live(*commands: StepCommand, step: Step | None = None, at: int = AT) -> Step:
    """The step after these commands, one after the other."""
    for command in commands:
        event = steps.decide(step, command, at, "pod")
        if event is not None:
            step = steps.evolve(step, event)
    assert step is not None
    return step


LIVES: Final[dict[str, list[StepCommand]]] = {
    "pending": [Submit("step", "{}")],
    "waiting": [Submit("step", "{}", parents='{"parent":"success"}')],
    "claimed": [Submit("step", "{}"), Claim("step", "token", "one")],
    "completed": [
        Submit("step", "{}"),
        Claim("step", "token", "one"),
        Complete("step", "token", "1"),
    ],
    "failed": [
        Submit("step", "{}"),
        Claim("step", "token", "one"),
        Fail("step", "token", "Boom", permanent=True),
    ],
    "cancelled": [Submit("step", "{}"), Cancel("step")],
}
"""The fewest commands that lead to each status."""


def live_pod(*commands: AnyPodCommand, pod: Pod | None = None, at: int = AT) -> Pod:
    """The pod after these commands."""
    for command in commands:
        event = pods.decide(pod, command, at)
        if event is not None:
            pod = pods.evolve(pod, event)
    assert pod is not None
    return pod


def claimed(step_id: str, payload: str = "{}", **fields: Any) -> Step:
    """A claimed step with the fields that the machine reads: id, payload and tries."""
    return Step(step_id, "claimed", 0, payload, **{**FRESH, **fields})


FRESH: Final = {
    "retry_count": 0,
    "max_retries": 3,
    "created_ts": 0,
    "last_update_ts": 0,
    "available_ts": 0,
}


def assert_waits_well(plan: Plan, now: float) -> None:
    """Check that a shell that carries out ``plan`` neither loops without a pause nor waits for
    ever."""
    if not plan.gone:
        assert plan.next_at < inf
        if plan.request is None and not plan.recover and not plan.poll and not plan.check_leader:
            assert plan.next_at > now


class Driver:
    """Drives one machine with a manual clock and scripted results of the store."""

    def __init__(
        self,
        *,
        timeout: float | None = None,
        chance: Callable[[], float] = lambda: 0.5,
        traits: StoreTraits | None = None,
        most_by_hand: int | None = None,
        **settings: Any,
    ) -> None:
        ids = count(1)
        self.now = 100.0
        self.timeout = timeout
        self.settings = PodSettings(**settings)
        self.machine = PodMachine(
            "pod",
            self.settings,
            new_id=lambda: f"id-{next(ids)}",
            chance=chance,
            traits=traits or StoreTraits(),
            most_by_hand=most_by_hand,
        )
        self.tokens: dict[str, str] = {}

    def plan(self) -> Plan:
        plan = self.machine.plan(self.now)
        assert_waits_well(plan, self.now)
        return plan

    def sync(self) -> SyncRequest:
        """The request that is due; fails if there is none."""
        request = self.plan().request
        assert request is not None
        return request

    def answer(
        self, request: SyncRequest, *step_ids: str, at: int = AT, payload: str = "{}", **answer: Any
    ) -> list[str]:
        """Answer the request with these steps. Returns the ids of those to run."""
        given = tuple(claimed(step_id, payload) for step_id in step_ids)
        to_run = self.machine.on_synced(request, SyncResult(at, given, **answer), self.now)
        for step in to_run if self.timeout else ():  # they begin at once
            self.machine.began(step.step_id, request.claim_token, self.timeout or 0, self.now)
        self.tokens.update((step.step_id, request.claim_token) for step in to_run)
        return [step.step_id for step in to_run]

    def sync_once(self, *step_ids: str, **answer: Any) -> SyncRequest:
        """Answer the request that is due with these steps."""
        request = self.sync()
        self.answer(request, *step_ids, **answer)
        return request

    def finish(self, step_id: str, result: str = "null") -> bool:
        """The function of this step returns."""
        return self.machine.finished(Complete(step_id, self.tokens[step_id], result))

    def claims(self, *step_ids: str) -> tuple[tuple[str, str], ...]:
        """The latest claims of these steps."""
        return tuple((step_id, self.tokens[step_id]) for step_id in step_ids)

    def wait(self, seconds: float) -> None:
        self.now += seconds


def up(*step_ids: str, **options: Any) -> Driver:
    """A pod that has joined, runs these steps, and has nothing due until its next heartbeat."""
    driver = Driver(**options)
    driver.sync_once(*step_ids)
    assert driver.plan().request is None
    return driver
