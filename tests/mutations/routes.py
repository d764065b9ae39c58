"""Mutations of routing: a pod claims the steps that it may take, whatever else waits."""

from __future__ import annotations

from typing import Any, Final

from fleet_q.adapters.memory import MemoryTransaction
from fleet_q.core.routing import EVERYWHERE, Routes
from tests.mutations.guards import Mutation, replaced


def _of_first_steps(claimable: Any) -> Any:
    """Look only at the first steps of the queue, as many as the claim asks for."""

    def mutant(tx: Any, limit: int, limits: Any = None, routes: Routes = EVERYWHERE) -> Any:
        first = {step.step_id for step in claimable(tx, limit)}
        return [s for s in claimable(tx, limit, limits, routes) if s.step_id in first]

    return mutant


def _by_queue_only(serve: Any) -> Any:
    return lambda routes, queue, task_type: routes.queues is None or queue in routes.queues


def _by_type_only(serve: Any) -> Any:
    return lambda routes, queue, task_type: (
        routes.task_types is None or task_type in routes.task_types
    )


ROUTES: Final = (
    Mutation(
        "a pod claims only steps whose task type it knows",
        replaced(Routes, "serve", _by_queue_only),
    ),
    Mutation(
        "a pod claims only steps of its queues",
        replaced(Routes, "serve", _by_type_only),
    ),
    Mutation(
        "a claim looks past the steps that the pod may not take",
        replaced(MemoryTransaction, "claimable", _of_first_steps),
    ),
)
