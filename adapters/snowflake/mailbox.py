"""The mailbox: requests of pods that one of them serves together, by the procedure ``exchange``."""

from __future__ import annotations

from msgspec.structs import replace

from fleet_q.adapters.snowflake.batches import batches, outcomes_json
from fleet_q.adapters.snowflake.migrate import check_version
from fleet_q.adapters.snowflake.session import Session, new_change_id
from fleet_q.adapters.snowflake.sync import Sync, claim_json, transitions_json
from fleet_q.adapters.snowflake.sync_snapshot import SyncSnapshot, allowed_statuses
from fleet_q.core import step as steps
from fleet_q.core.pod import SendHeartbeat
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.retry import micros


class Mailbox:
    """Posts requests, and asks for their results."""

    def __init__(self, session: Session, sync: Sync) -> None:
        self._session = session
        self._sync = sync

    def post(self, request: SyncRequest, number: int, patience: float) -> SyncResult | None:
        """See :meth:`fleet_q.core.ports.CombiningStore.post`. Commands other than heartbeats are
        carried out at once, after an empty request that makes earlier ones void."""
        if not _is_postable(request):
            if number > 1:
                empty = SyncRequest(request.pod_id, request.incarnation)
                self._exchange(empty, number, patience)
            return self._sync.sync(request)
        return self._exchange(request, number, patience)

    def poll(self, request: SyncRequest, number: int, patience: float) -> SyncResult | None:
        """See :meth:`fleet_q.core.ports.CombiningStore.poll`."""
        if not _is_postable(request):
            return self._sync.sync(replace(request, is_retry=True))
        return self._exchange(replace(request, pod_command=None), number, patience)

    def _exchange(self, request: SyncRequest, number: int, patience: float) -> SyncResult | None:
        sends_heartbeat = isinstance(request.pod_command, SendHeartbeat)
        answer = self._session.call(
            "exchange",
            pod_id=request.pod_id,
            incarnation=request.incarnation,
            number=number,
            patience=micros(patience),
            sends_heartbeat=sends_heartbeat,
            transitions=transitions_json(request.pod_command, allowed_statuses(request)),
            own_request=claim_json(request),
            own_claim=request.claim,
            own_outcomes=outcomes_json(request.outcomes, request.pod_id)[1:-1],
            own_outcome_count=len(request.outcomes),
            only_claims=request.claim > 0 and not request.outcomes and not request.is_retry,
            claim_token=request.claim_token,
            most_bytes=steps.MAX_CLAIM_SIZE,
            new_change_id=new_change_id(),
        )
        if len(answer[0]) == 1:
            return None
        snapshot = SyncSnapshot(answer)
        check_version(snapshot.schema_version)
        snapshot.check(request)
        if sends_heartbeat and snapshot.is_asleep:
            return self._sync.sync(replace(request, is_retry=True))
        others = snapshot.served - 1 if snapshot.served else None
        return replace(self._sync.result(snapshot, request), served_others=others)


def _is_postable(request: SyncRequest) -> bool:
    """Whether a request can wait in the mailbox: it is no command that changes a pod's status, and
    one statement takes its outcomes."""
    is_command = not isinstance(request.pod_command, SendHeartbeat | None)
    fits = len(list(batches(request.outcomes))) <= 1
    return fits and not is_command and not request.only_if_claimable
