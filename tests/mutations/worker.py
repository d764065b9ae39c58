"""Mutations of a pod's program: syncs, slots, functions and sleep."""

from __future__ import annotations

import math
from typing import Any, Final

from fleet_q.core.worker import claim_schedule, idle
from fleet_q.core.worker.attempts import Attempts
from fleet_q.core.worker.idle import IdleTracker
from fleet_q.core.worker.machine import PodMachine
from fleet_q.core.worker.prefetch import Prefetch
from fleet_q.core.worker.schedule import Schedule
from fleet_q.core.worker.store_backoff import StoreBackoff
from tests.mutations.guards import (
    Mutation,
    nothing,
    replaced,
    together,
)


def _drops_request(on_store_unavailable: Any) -> Any:
    def mutant(pod_machine: PodMachine, now: float, *, contended: bool = False) -> float:
        pending = pod_machine._requests.pending
        if pending is not None:
            pod_machine._outbox.remove(len(pending.outcomes))
            pod_machine._requests.pending = None
        return float(on_store_unavailable(pod_machine, now, contended=contended))

    return mutant


def _drops_request_if_contended(on_store_unavailable: Any) -> Any:
    def mutant(pod_machine: PodMachine, now: float, *, contended: bool = False) -> float:
        wait = float(on_store_unavailable(pod_machine, now, contended=contended))
        if contended:
            pod_machine._requests.pending = None
        return wait

    return mutant


def _never_changed(has_changed: Any) -> Any:
    def mutant(self: Any, change_counter: int, now: float) -> bool:
        has_changed(self, change_counter, now)
        return False

    return mutant


def _backs_off_for_ever(longest_sleep_poll: Any) -> Any:
    return lambda settings: math.inf


def _sees_a_leader(on_pods: Any) -> Any:
    return lambda self, pods, now: False


def _sleeps_with_steps(sleep_at: Any) -> Any:
    def mutant(schedule: Schedule) -> float:
        should_sleep = (
            schedule._idle.writes_are_billed
            and schedule._running
            and schedule._member.phase == "up"
        )
        return -math.inf if should_sleep else float(sleep_at(schedule))

    return mutant


def _claims_while_draining(due_claim: Any) -> Any:
    return lambda self, now: self._claims.slots - len(self._running)


def _keeps_waiting_steps(expected: Any) -> Any:
    def mutant(self: Any, now: float) -> None:
        expected(self, now)

    return mutant


WORKER: Final = (
    Mutation(
        "a sync without an answer is retried",
        replaced(PodMachine, "on_store_unavailable", _drops_request),
    ),
    Mutation(
        "a sync that may have been done is retried after a rejection, too",
        replaced(PodMachine, "on_store_unavailable", _drops_request_if_contended),
    ),
    Mutation(
        "a pod claims no more than it has slots for",
        replaced(claim_schedule, "slots", lambda slots: lambda most, share: 2 * slots(most, share)),
    ),
    Mutation(
        "a draining pod does not claim", replaced(Schedule, "_due_claim", _claims_while_draining)
    ),
    Mutation(
        "a prefetched step that would wait for long is released",
        replaced(Prefetch, "expected", _keeps_waiting_steps),
    ),
    Mutation(
        "a step that has waited begins only under a confirmed claim",
        replaced(PodMachine, "begin_by", lambda _: lambda self, now: math.inf),
    ),
    Mutation(
        "a value that the store refuses fails its step and not its pod",
        replaced(PodMachine, "refused", lambda _: lambda self, error: False),
    ),
    Mutation("a function is stopped at its timeout", replaced(Attempts, "expire", nothing)),
    Mutation(
        "a sleeping pod notices a change of the change counter",
        replaced(IdleTracker, "has_changed", _never_changed),
    ),
    Mutation(
        "a sleeping pod polls at the sleep poll interval at least",
        together(
            replaced(idle, "longest_sleep_poll", _backs_off_for_ever),
            replaced(idle, "POLL_BACKOFF", lambda _: 1_000.0),
        ),
    ),
    Mutation(
        "a sleeping pod leads if no other pod does", replaced(PodMachine, "on_pods", _sees_a_leader)
    ),
    Mutation(
        "a pod stops if its store fails for too long",
        replaced(StoreBackoff, "should_give_up", lambda _: property(lambda self: False)),
    ),
    Mutation(
        "a sync that succeeds restarts the time until a pod stops",
        replaced(StoreBackoff, "on_answer", nothing),
    ),
    Mutation(
        "a pod that holds steps stays awake", replaced(Schedule, "_sleep_at", _sleeps_with_steps)
    ),
)
