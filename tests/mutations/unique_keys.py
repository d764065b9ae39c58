"""Mutations of unique keys: which steps have one, and what a submission with one may change."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from fleet_q.adapters.memory import MemoryTransaction
from fleet_q.core import uniqueness
from fleet_q.core.lifecycle import STEP
from fleet_q.core.step import Complete
from fleet_q.core.step_by_step import StepByStep
from fleet_q.services.simulation import simulated_store
from tests.mutations.guards import Mutation, allowed, replaced, together


def _of_pending_steps(has_unique_key: Any) -> Any:
    return lambda step, at: step.status == "pending" and has_unique_key(step, at)


def _until_final(has_unique_key: Any) -> Any:
    return lambda step, at: has_unique_key(replace(step, unique_until_ts=None), at)


def _whatever_its_status(replacement: Any) -> Any:
    return lambda owner, submit: replacement(replace(owner, status="pending"), submit)


def _blocked_by_its_key(acknowledge: Any) -> Any:
    """Let no step become pending again while a step has its unique key: itself."""

    def mutant(tx: Any, outcomes: Any, by: str) -> Any:
        current = tx.steps([outcome.step_id for outcome in outcomes])
        blocked = [
            outcome
            for outcome in outcomes
            if not isinstance(outcome, Complete)
            and outcome.step_id in current
            and current[outcome.step_id].unique_key is not None
        ]
        rest = [outcome for outcome in outcomes if outcome not in blocked]
        return [*(outcome.step_id for outcome in blocked), *acknowledge(tx, rest, by)]

    return mutant


UNIQUE_KEYS: Final = (
    Mutation(
        "a submission looks for steps with its unique key",
        replaced(MemoryTransaction, "steps_with_unique_keys", lambda _: lambda tx, keys: []),
    ),
    Mutation(
        "a claimed step has its unique key",
        replaced(uniqueness, "has_unique_key", _of_pending_steps),
    ),
    Mutation(
        "a final step has its unique key until its time has passed",
        replaced(uniqueness, "has_unique_key", _until_final),
    ),
    Mutation(
        "steps of one unique key that are submitted together become one",
        replaced(uniqueness, "merged", lambda _: list),
    ),
    Mutation(
        "submissions that are served together look for unique keys",
        replaced(simulated_store, "owners", lambda _: lambda steps, at: {}),
    ),
    Mutation(
        "only a pending step is replaced",
        together(
            replaced(uniqueness, "replacement", _whatever_its_status),
            allowed(STEP, "claimed", "replaced", "pending"),
        ),
    ),
    Mutation(
        "a step is not replaced unless the submission asks for it",
        replaced(
            uniqueness,
            "replacement",
            lambda replacement: (
                lambda owner, submit: replacement(owner, replace(submit, on_conflict="replace"))
            ),
        ),
    ),
    Mutation(
        "the unique key of a step does not block its own retry",
        replaced(StepByStep, "acknowledge", _blocked_by_its_key),
    ),
)
