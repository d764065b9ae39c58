"""The simulated mailbox of a combining store: which requests wait, and which may be served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from fleet_q.core import pod as pods
from fleet_q.core.errors import FleetQError, IncarnationEnded
from fleet_q.core.pod import Join, Pod
from fleet_q.core.ports import CheckedSubmission, SubmissionResult, SyncRequest, SyncResult
from fleet_q.core.uniqueness import owners
from fleet_q.services.simulation.recording import RecordingDatabase

MOST_SERVED: Final = 500
"""Requests served in one transaction (``sql/snowflake/mark_requests.sql``)."""

MAX_AGE: Final = 60.0
"""Seconds after which a request is not served any more
(``sql/snowflake/parts/waiting_requests.sql``)."""

Identity = tuple[str, int]
"""An incarnation and the number of one of its requests, or the id of a submission: what all rows of
a request have in common, if it was posted more than once."""

Request = SyncRequest | CheckedSubmission
Result = SyncResult | SubmissionResult


class Posted(msgspec.Struct, eq=False):
    """A row of the mailbox. ``refused``, ``is_stored`` and ``error`` are known once it is
    ``served``."""

    actor: Any
    request: Request
    number: int
    at: float
    served: bool = False
    refused: tuple[str, ...] = ()
    is_stored: bool = False
    error: FleetQError | None = None

    @property
    def identity(self) -> Identity:
        return (owner_of(self.request), self.number)


def owner_of(request: Request) -> str:
    """The incarnation whose request it is, or the id of the submission."""
    if isinstance(request, CheckedSubmission):
        return request.submission_id
    return request.incarnation


def joining_pod(request: Request) -> str | None:
    """The id of the pod that the request lets join, if it does."""
    if isinstance(request, SyncRequest) and isinstance(request.pod_command, Join):
        return request.pod_id
    return None


class Mailbox:
    """Requests in the order in which they were posted. ``clock``: seconds since the start."""

    def __init__(self, database: RecordingDatabase, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        # The rows of each request that may be served, by the time of its latest row.
        self._waiting: dict[Identity, list[Posted]] = {}
        self._served: dict[Identity, Posted] = {}
        self._latest: dict[str, int] = {}  # the highest number, by incarnation or submission
        self._joins: dict[str, list[Identity]] = {}  # in the order of posting, by pod

    def post(self, actor: Any, request: Request, number: int) -> None:
        """Insert a request, which makes earlier ones of its incarnation void; if it is a join, also
        those of earlier processes of the pod to join."""
        row, owner = Posted(actor, request, number, self._clock()), owner_of(request)
        latest = self._latest.get(owner, number)
        if number < latest or row.identity in self._served:
            return
        self._latest[owner] = number
        if number > latest:
            self._waiting.pop((owner, latest), None)
        if (pod_id := joining_pod(request)) is not None:
            self._add_join(pod_id, row.identity)
            if self._joins[pod_id][-1] != row.identity:
                return
        self._waiting[row.identity] = [*self._waiting.pop(row.identity, ()), row]

    def _add_join(self, pod_id: str, identity: Identity) -> None:
        joins = self._joins.setdefault(pod_id, [])
        if identity not in joins:
            if joins:
                self._waiting.pop(joins[-1], None)
            joins.append(identity)

    def find(self, request: Request, number: int) -> Posted | None:
        """The row of a request that was served, or else one that may be. Raises
        ``IncarnationEnded`` for a join if another process of the pod has posted one later."""
        identity = (owner_of(request), number)
        row = self._served.get(identity) or self._first_young(identity)
        pod_id = joining_pod(request)
        joins = self._joins.get(pod_id, []) if pod_id is not None else []
        if row is None and pod_id is not None and identity in joins[:-1]:
            raise IncarnationEnded(pod_id, superseded=True)
        return row

    def is_oldest(self, request: Request, number: int, patience: float) -> bool:
        """Whether the sender of this request serves: it is the oldest, or has waited for
        ``patience`` seconds for the sender of each older one."""
        identity = (owner_of(request), number)
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
        that a later one has made void."""
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

    def result(self, row: Posted) -> Result:
        """The result of a request that was served, as it is read now. Raises what the store
        raises."""
        request = row.request
        if row.error is not None:
            raise row.error
        with self._database.read() as tx:
            if isinstance(request, CheckedSubmission):
                if row.is_stored:
                    return SubmissionResult(True)
                of_keys = owners(tx.steps_with_unique_keys(request.unique_keys), tx.at).values()
                existing = tx.steps(request.ids) | {step.step_id: step for step in of_keys}
                return SubmissionResult(False, tuple(existing.values()))
            pod = tx.pod(request.pod_id)
            if isinstance(request.pod_command, Join):
                pods.check_joined(pod, request.pod_id, request.incarnation)
            if request.claim and not _is_still_asleep(request, pod):
                pods.check_may_claim(pod, request.pod_id, request.incarnation)
            lost = tx.lost(request.check_held)
            if not request.claim:
                return SyncResult(tx.at, refused=row.refused, lost=lost)
            claimed = tx.claimed_under(request.pod_id, request.incarnation, request.claim_token)
            return SyncResult(
                at=tx.at,
                claimed=tuple(claimed),
                refused=row.refused,
                lost=lost,
                next_due=tx.next_due(request.routes),
                any_claimed=tx.is_any_claimed(),
                next_firing=None if claimed else tx.next_firing(),
                done=not _is_still_asleep(request, pod),
                more=len(claimed) < request.claim and tx.is_any_due(request.routes),
            )


def _is_still_asleep(request: SyncRequest, pod: Pod | None) -> bool:
    """Whether the request found no step for which to wake its pod."""
    if pod is None or pod.incarnation != request.incarnation:
        return False
    return request.only_if_claimable and pod.status == "asleep"
