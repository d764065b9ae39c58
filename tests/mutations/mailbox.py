"""Mutations of the mailbox: who serves, what is served, and how often."""

from __future__ import annotations

from typing import Any, Final

from msgspec.structs import replace

from fleet_q.core.calls import StoreCall
from fleet_q.core.event_store import EventStore
from fleet_q.core.ports import SyncRequest
from fleet_q.services.simulation import procedures
from fleet_q.services.simulation.mailbox import Mailbox, Posted, Request, joining_pod, owner_of
from fleet_q.services.simulation.simulated_store import SimulatedStore
from tests.mutations.guards import Mutation, replaced, together


def _served_again(post: Any) -> Any:
    """Serve a request again that is inserted again after it was served."""

    def mutant(mailbox: Mailbox, actor: Any, request: Request, number: int) -> None:
        mailbox._served.pop((owner_of(request), number), None)
        mailbox._latest.pop(owner_of(request), None)
        post(mailbox, actor, request, number)

    return mutant


def _not_locked(update: Any) -> Any:
    def mutant(self: Any, change: tuple[str, Any]) -> Any:
        statement = update(self, change)
        return replace(statement, locks=()) if change[0] == "sync_requests" else statement

    return mutant


def _joins_again(post: Any) -> Any:
    """Serve a join again that is inserted again after it was served."""
    served_again = _served_again(post)

    def mutant(mailbox: Mailbox, actor: Any, request: Request, number: int) -> None:
        is_join = joining_pod(request) is not None
        (served_again if is_join else post)(mailbox, actor, request, number)

    return mutant


def _joins_late(add_join: Any) -> Any:
    """Let a process join although a later one of the pod has posted its join."""

    def mutant(mailbox: Mailbox, pod_id: str, identity: Any) -> None:
        mailbox._joins[pod_id] = [identity]

    return mutant


def _unchecked(store: Any) -> Any:
    """Store the steps of a submission without a look whether their ids are taken."""

    def mutant(self: SimulatedStore, row: Posted, submission: Any, taken: set[str]) -> None:
        new = [replace(item, unique=True) for item in submission.steps]
        row.is_stored = True
        self._on_done(row.actor, StoreCall("submit", (new, submission.by)), self.submit(new))

    return mutant


def _as_a_new_request(sync: Any) -> Any:
    """Claim for a request that is served although it has claimed before."""

    def mutant(self: Any, request: SyncRequest) -> Any:
        return sync(self, replace(request, is_retry=False))

    return mutant


def _only_the_oldest(is_oldest: Any) -> Any:
    """Wait for the pod of the oldest request for ever."""

    def mutant(mailbox: Mailbox, request: Request, number: int, patience: float) -> bool:
        oldest = next(iter(mailbox._waiting), None)
        return oldest is None or oldest == (owner_of(request), number)

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
        "a process does not end a later one of its pod by a join that arrives again",
        together(
            replaced(Mailbox, "post", _joins_again),
            replaced(Mailbox, "_add_join", _joins_late),
        ),
    ),
    Mutation(
        "a submission that was posted twice is served once, or its ids are checked",
        together(
            replaced(Mailbox, "post", _served_again),
            replaced(SimulatedStore, "_store", _unchecked),
        ),
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
