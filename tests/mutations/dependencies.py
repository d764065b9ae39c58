"""Mutations of dependencies: when a waiting step is ready, what falls, and what comes back."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from fleet_q.adapters.memory import MemoryTransaction
from fleet_q.core import dependencies
from fleet_q.core.lifecycle import FINAL
from fleet_q.core.settling import Settling
from fleet_q.core.spawning import Spawning
from fleet_q.core.step import Complete
from tests.mutations.guards import Mutation, nothing, replaced


def _none(_: Any) -> Any:
    return lambda *args: set()


def _however_it_ended(_: Any) -> Any:
    return lambda kind, status: status is None or status in FINAL


def _without_children(_: Any) -> Any:
    def spawn(self: Any, complete: Complete, by: str | None) -> bool:
        return not self.acknowledge([replace(complete, children=())], by)

    return spawn


def _with_late_children(spawn: Any) -> Any:
    def mutated(self: Any, complete: Complete, by: str | None) -> bool:
        is_accepted: bool = spawn(self, complete, by)
        if not is_accepted and not self.steps([complete.children[0].step_id]):
            self.submit_many(complete.children, by)
        return is_accepted

    return mutated


def _again(spawn: Any) -> Any:
    def mutated(self: Any, complete: Complete, by: str | None) -> bool:
        step = self.steps([complete.step_id]).get(complete.step_id)
        if step is not None and step.is_completed_under(complete.claim_token):
            self.submit_many(complete.children, by)
        return bool(spawn(self, complete, by))

    return mutated


DEPENDENCIES: Final = (
    Mutation(
        "a step waits for all of its parents",
        replaced(MemoryTransaction, "with_dependencies", _none),
    ),
    Mutation(
        "a step is ready only if its parents have succeeded",
        replaced(dependencies, "is_satisfied", _however_it_ended),
    ),
    Mutation(
        "the transaction that ends a step settles what waits for it",
        replaced(Settling, "settle", nothing),
    ),
    Mutation(
        "a step comes back only if no other parent keeps it from that",
        replaced(dependencies, "restored", lambda _: lambda parents, statuses: list(parents)),
    ),
    Mutation(
        "children are stored with the completion of their step",
        replaced(Spawning, "spawn", _without_children),
    ),
    Mutation(
        "a completion whose claim is lost stores no children",
        replaced(Spawning, "spawn", _with_late_children),
    ),
    Mutation(
        "a repeated completion stores no children",
        replaced(Spawning, "spawn", _again),
    ),
    Mutation(
        "what waits for a step waits for its children",
        replaced(Spawning, "_attach", lambda _: lambda self, attached, dependents, by: {}),
    ),
    Mutation(
        "parents are kept until their children have ended",
        replaced(MemoryTransaction, "_parents_of_open_steps", _none),
    ),
)
