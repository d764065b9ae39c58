"""The guards of a pod's program: its turns, its room, its functions, and its sleep."""

from __future__ import annotations

import math
from typing import Any, Final

from fleet_q.core.worker import claim_schedule
from fleet_q.core.worker.idle import IdleTracker
from fleet_q.core.worker.machine import PodMachine
from fleet_q.core.worker.prefetch import Prefetch
from tests.mutations.guards import (
    Mutation,
    nothing,
    replaced,
)


def _no_longer_asked(on_store_unavailable: Any) -> Any:
    def careless(pod_machine: PodMachine, now: float, *, contended: bool = False) -> float:
        pending = pod_machine._requests.pending
        if pending is not None:
            pod_machine._outbox.remove(len(pending.outcomes))
            pod_machine._requests.pending = None
        return float(on_store_unavailable(pod_machine, now, contended=contended))

    return careless


def _asked_anew_if_crowded(on_store_unavailable: Any) -> Any:
    def careless(pod_machine: PodMachine, now: float, *, contended: bool = False) -> float:
        wait = float(on_store_unavailable(pod_machine, now, contended=contended))
        if contended:
            pod_machine._requests.pending = None
        return wait

    return careless


def _never_hears(has_changed: Any) -> Any:
    def careless(self: Any, change_counter: int) -> bool:
        has_changed(self, change_counter)
        return False

    return careless


def _sees_a_leader(saw: Any) -> Any:
    return lambda self, fleet, now: False


def _sleeps_on_the_job(sleep_at: Any) -> Any:
    def careless(pod_machine: PodMachine) -> float:
        tired = (
            pod_machine._idle.writes_are_billed
            and pod_machine._running
            and pod_machine.phase == "up"
        )
        return -math.inf if tired else float(sleep_at(pod_machine))

    return careless


def _claims_while_leaving(due_claim: Any) -> Any:
    return lambda self, now: self._claims.slots - len(self._running)


def _keeps_what_waits(expected: Any) -> Any:
    def careless(self: Any, now: float) -> None:
        expected(self, now)

    return careless


WORKER: Final = (
    Mutation(
        "what was not answered is asked again",
        replaced(PodMachine, "on_store_unavailable", _no_longer_asked),
    ),
    Mutation(
        "what may have been done is asked again even by who was turned away",
        replaced(PodMachine, "on_store_unavailable", _asked_anew_if_crowded),
    ),
    Mutation(
        "a pod claims no more than it has room for",
        replaced(claim_schedule, "slots", lambda slots: lambda most, share: 2 * slots(most, share)),
    ),
    Mutation(
        "who leaves claims no more", replaced(PodMachine, "_due_claim", _claims_while_leaving)
    ),
    Mutation(
        "what would wait for long is released",
        replaced(Prefetch, "expected", _keeps_what_waits),
    ),
    Mutation(
        "what has waited begins once its claim is confirmed",
        replaced(PodMachine, "begin_by", lambda _: lambda self, now: math.inf),
    ),
    Mutation("a function whose time is up is given up", replaced(PodMachine, "_expire", nothing)),
    Mutation("who sleeps hears the bell", replaced(IdleTracker, "has_changed", _never_hears)),
    Mutation(
        "a sleeper leads if nobody else does", replaced(PodMachine, "on_pods", _sees_a_leader)
    ),
    Mutation("who holds steps stays awake", replaced(PodMachine, "_sleep_at", _sleeps_on_the_job)),
)
