"""The simulated mailbox of a combining store: which requests wait, and which may be served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from fleet_q.core import pod as pods
from fleet_q.core.errors import FleetQError
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.services.simulation.recording import RecordingDatabase

MOST_SERVED: Final = 100
"""Requests served in one transaction (``sql/snowflake/mark_requests.sql``)."""

MAX_AGE: Final = 60.0
"""Seconds after which a request is not served any more
(``sql/snowflake/parts/waiting_requests.sql``)."""

Identity = tuple[str, int]
"""An incarnation and the number of one of its requests: what all rows of a request have in common,
if its pod has posted it more than once."""


class Posted(msgspec.Struct, eq=False):
    """A row of the mailbox. ``refused`` and ``error`` are known once it is ``served``."""

    actor: Any
    request: SyncRequest
    number: int
    at: float
    served: bool = False
    refused: tuple[str, ...] = ()
    error: FleetQError | None = None

    @property
    def identity(self) -> Identity:
        return (self.request.incarnation, self.number)


class Mailbox:
    """Requests in the order in which they were posted. ``clock``: seconds since the start."""

    def __init__(self, database: RecordingDatabase, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        # The rows of each request that may be served, by the time of its latest row.
        self._waiting: dict[Identity, list[Posted]] = {}
        self._served: dict[Identity, Posted] = {}
        self._latest: dict[str, int] = {}  # the highest number, by incarnation

    def post(self, actor: Any, request: SyncRequest, number: int) -> None:
        """Insert a request, which makes earlier ones of its incarnation void."""
        row = Posted(actor, request, number, self._clock())
        latest = self._latest.get(request.incarnation, number)
        if number < latest or row.identity in self._served:
            return
        self._latest[request.incarnation] = number
        if number > latest:
            self._waiting.pop((request.incarnation, latest), None)
        self._waiting[row.identity] = [*self._waiting.pop(row.identity, ()), row]

    def find(self, request: SyncRequest, number: int) -> Posted | None:
        """The row of a request that was served, or else one that may be."""
        identity = (request.incarnation, number)
        return self._served.get(identity) or self._first_young(identity)

    def is_oldest(self, request: SyncRequest, number: int, patience: float) -> bool:
        """Whether the pod of this request serves: it is the oldest, or has waited for ``patience``
        seconds for the pod of each older one."""
        identity = (request.incarnation, number)
        row = self._first_young(identity)
        if row is None:
            return True
        self._forget_old()
        waited = self._clock() - row.at
        for place, other in enumerate(self._waiting):
            if waited < place * patience:
                return False
            if other == identity:
                break
        return True

    def servable(self) -> list[Posted]:
        """The requests that may be served, oldest first: none twice, none that is too old, and none
        that a later one of its incarnation has made void."""
        self._forget_old()
        rows = map(self._first_young, self._waiting)
        return [row for row in rows if row is not None]

    def on_served(self, row: Posted) -> None:
        """The transaction that serves this request is committed."""
        row.served = True
        self._served[row.identity] = row
        self._waiting.pop(row.identity, None)

    def _first_young(self, identity: Identity) -> Posted | None:
        young = self._clock() - MAX_AGE
        return next((row for row in self._waiting.get(identity, ()) if row.at > young), None)

    def _forget_old(self) -> None:
        young = self._clock() - MAX_AGE
        while self._waiting:
            identity = next(iter(self._waiting))
            if self._waiting[identity][-1].at > young:
                break
            del self._waiting[identity]

    def result(self, row: Posted) -> SyncResult:
        """The result of a request that was served, as it is read now. Raises what the store
        raises."""
        request = row.request
        if row.error is not None:
            raise row.error
        with self._database.read() as tx:
            if request.claim:
                pods.check_may_claim(tx.pod(request.pod_id), request.pod_id, request.incarnation)
            lost = tx.lost(request.check_held)
            if not request.claim:
                return SyncResult(tx.at, refused=row.refused, lost=lost)
            claimed = tx.claimed_under(request.pod_id, request.incarnation, request.claim_token)
            return SyncResult(
                at=tx.at,
                claimed=tuple(claimed),
                refused=row.refused,
                lost=lost,
                next_due=tx.next_due(),
                any_claimed=tx.is_any_claimed(),
                more=len(claimed) < request.claim and tx.is_any_due(),
            )
