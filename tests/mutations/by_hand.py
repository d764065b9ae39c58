"""Mutations of a pod by hand: what its callers want, and their leases."""

from __future__ import annotations

from typing import Any, Final

from fleet_q.core.worker.claim_schedule import ClaimSchedule
from fleet_q.core.worker.claims_by_hand import ClaimsByHand
from fleet_q.core.worker.machine import PodMachine
from tests.mutations.guards import Mutation, replaced


def _without_leases(began: Any) -> Any:
    def mutant(self: PodMachine, *arguments: Any) -> None:
        if self._by_hand is None:
            began(self, *arguments)

    return mutant


def _ends_another_claim(init: Any) -> Any:
    def mutant(self: PodMachine, *arguments: Any, **options: Any) -> None:
        init(self, *arguments, **options)
        finished = self.finished

        def finished_by_id(outcome: Any) -> bool:
            held = self._running.get(outcome.step_id)
            if held is not None and self._by_hand is not None:
                outcome = type(outcome)(outcome.step_id, held.claim_token, *_rest(outcome))
            return finished(outcome)

        self.finished = finished_by_id

    return mutant


def _rest(outcome: Any) -> list[Any]:
    return [getattr(outcome, name) for name in outcome.__struct_fields__[2:]]


BY_HAND: Final = (
    Mutation(
        "a pod by hand claims only what its callers want",
        replaced(ClaimsByHand, "free", lambda _: ClaimSchedule.free),
    ),
    Mutation(
        "a pod by hand prefetches nothing",
        replaced(ClaimsByHand, "due_prefetch", lambda _: lambda self, free, running, size, now: 1),
    ),
    Mutation(
        "a step is retried when the lease of its client ends",
        replaced(PodMachine, "began", _without_leases),
    ),
    Mutation(
        "a late answer does not end the claim of another client",
        replaced(PodMachine, "__init__", _ends_another_claim),
    ),
)
