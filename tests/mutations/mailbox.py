"""Mutations of the mailbox: who serves, what is served, and how often."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from fleet_q.core.event_store import EventStore
from fleet_q.core.ports import SyncRequest
from fleet_q.services.simulation import procedures
from fleet_q.services.simulation.mailbox import Mailbox, Posted
from fleet_q.services.simulation.simulated_store import SimulatedStore
from tests.mutations.guards import Mutation, replaced, together


def _served_again(post: Any) -> Any:
    """Serve a request again that is inserted again after it was served."""

    def mutant(mailbox: Mailbox, actor: Any, request: SyncRequest, number: int) -> None:
        mailbox._served.pop((request.incarnation, number), None)
        mailbox._latest.pop(request.incarnation, None)
        post(mailbox, actor, request, number)

    return mutant


def _not_locked(update: Any) -> Any:
    def mutant(self: Any, change: tuple[str, Any]) -> Any:
        statement = update(self, change)
        return replace(statement, locks=()) if change[0] == "sync_requests" else statement

    return mutant


def _as_a_new_request(sync: Any) -> Any:
    """Claim for a request that is served although it has claimed before."""

    def mutant(self: Any, request: SyncRequest) -> Any:
        return sync(self, replace(request, is_retry=False))

    return mutant


def _only_the_oldest(is_oldest: Any) -> Any:
    """Wait for the pod of the oldest request for ever."""

    def mutant(mailbox: Mailbox, request: SyncRequest, number: int, patience: float) -> bool:
        oldest = next(iter(mailbox._waiting), None)
        return oldest is None or oldest == (request.incarnation, number)

    return mutant


def _marked_at_once(mark: Any) -> Any:
    """Mark requests before the transaction that serves them is committed."""

    def mutant(store: SimulatedStore) -> list[Posted]:
        marked: list[Posted] = mark(store)
        for row in marked:
            store.mailbox.on_served(row)
        return marked

    return mutant


MAILBOX: Final = (
    Mutation(
        "a request that was posted twice is served once",
        replaced(Mailbox, "post", _served_again),
    ),
    Mutation(
        "two that serve at once do not serve the same requests",
        together(
            replaced(procedures.Procedures, "_update", _not_locked),
            replaced(EventStore, "sync", _as_a_new_request),
        ),
    ),
    Mutation(
        "requests are served although the pod of the oldest one is dead",
        replaced(Mailbox, "is_oldest", _only_the_oldest),
    ),
    Mutation(
        "a request is marked in the transaction that carries it out",
        replaced(SimulatedStore, "mark", _marked_at_once),
    ),
)
