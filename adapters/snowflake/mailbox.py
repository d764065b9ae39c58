"""The mailbox: requests and submissions that are served together, by the procedure ``exchange``."""

from __future__ import annotations

import logging
from typing import Any, Final

from msgspec.structs import replace

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.batches import batches, outcomes_json
from fleet_q.adapters.snowflake.inbox import Inbox
from fleet_q.adapters.snowflake.migrate import check_version
from fleet_q.adapters.snowflake.session import Rows, Session, new_change_id
from fleet_q.adapters.snowflake.submit import encoded
from fleet_q.adapters.snowflake.sync import Sync, request_json, routes_json, transitions_json
from fleet_q.adapters.snowflake.sync_snapshot import allowed_statuses
from fleet_q.core import step as steps
from fleet_q.core.dependencies import parents_of
from fleet_q.core.errors import StoreContended, StoreError, StoreUnavailable, UnknownStep
from fleet_q.core.pod import Join, SendHeartbeat
from fleet_q.core.ports import CheckedSubmission, SubmissionResult, SyncRequest, SyncResult
from fleet_q.core.retry import micros
from fleet_q.core.spawning import spawning_in

log = logging.getLogger("fleet_q.snowflake")

INBOX_RETRY: Final = 5.0
"""Seconds after which a pod claims again that could not take in the rows of the inbox."""


class Mailbox:
    """Posts requests, and asks for their results. After a request that claims, rows of the inbox
    are taken in."""

    def __init__(self, session: Session, sync: Sync, inbox: Inbox) -> None:
        self._session = session
        self._sync = sync
        self._inbox = inbox

    def sync(self, request: SyncRequest) -> SyncResult:
        """See :meth:`fleet_q.core.ports.Store.sync`. A join is posted and serves at once."""
        result = self._carry_out(request)
        if not self._sees_inbox(request):
            return result
        if not self._take_in(request):
            return _again_soon(result)
        if result.claimed or request.outcomes:  # a step that is released here is not claimed here
            return _with_more(request, result)
        claim = replace(
            request,
            pod_command=None if result.done else request.pod_command,
            check_held=(),
            progress=(),
            is_retry=False,
        )
        try:
            after = self._sync.sync(claim)
        except StoreContended:  # says that nothing was done
            return replace(result, more=True)
        return replace(
            after,
            lost=result.lost,
            unexpected=result.unexpected,
            done=result.done or after.done,
            more=after.more or self._sync.has_inbox_rows,
        )

    def _carry_out(self, request: SyncRequest) -> SyncResult:
        if not isinstance(request.pod_command, Join):
            return self._sync.sync(request)
        join = replace(request, claim=0, claim_token="", outcomes=(), progress=())
        result = self._exchange(join, 0, 0.0, is_posted=True)
        if result is None:
            raise StoreUnavailable("Snowflake: the request to join waits to be served")
        if not request.claim and not request.outcomes:
            return result
        return self._sync.sync(replace(request, pod_command=None))

    def post(self, request: SyncRequest, number: int, patience: float) -> SyncResult | None:
        """See :meth:`fleet_q.core.ports.CombiningStore.post`. A request that is too large for one
        statement is carried out at once, after an empty one that makes earlier ones void. One that
        only claims is not posted if there is nothing but rows of the inbox, so it is posted after
        these were taken in."""
        if not _is_postable(request):
            if number > 1:
                empty = SyncRequest(request.pod_id, request.incarnation)
                self._exchange(empty, number, patience)
            return self.sync(request)
        result = self._exchange(request, number, patience)
        if result is None or not self._sees_inbox(request):
            return result
        if not self._take_in(request):
            return _again_soon(result)
        if result.claimed or not _only_claims(request):
            return _with_more(request, result)
        return self._exchange(request, number, patience)

    def poll(self, request: SyncRequest, number: int, patience: float) -> SyncResult | None:
        """See :meth:`fleet_q.core.ports.CombiningStore.poll`."""
        if not _is_postable(request):
            return self.sync(replace(request, is_retry=True))
        if _sends_heartbeat(request):
            request = replace(request, pod_command=None)
        if request.progress:  # which was inserted when the request was posted
            request = replace(request, progress=())
        result = self._exchange(request, number, patience, is_posted=True)
        if result is None or result.served_others is None or not self._sees_inbox(request):
            return result
        return _with_more(request, result) if self._take_in(request) else _again_soon(result)

    def submit_checked(
        self, submission: CheckedSubmission, patience: float, *, is_posted: bool
    ) -> SubmissionResult | None:
        """See :meth:`fleet_q.core.ports.CombiningStore.submit_checked`."""
        answer = self._call(
            submission.by or "",
            submission.submission_id,
            1,
            patience,
            is_posted=is_posted,
            own_submissions=encoded(submission)[1:-1],
        )
        if len(answer[0]) == 1:
            return None
        is_stored = int(answer[0][0]) > 0
        existing = () if is_stored else tuple(rows.to_step(r[1:]) for r in answer if r[1])
        if not is_stored and not existing:
            self._check_parents(submission)
        return SubmissionResult(is_stored, existing)

    def _check_parents(self, submission: CheckedSubmission) -> None:
        """Raise :class:`UnknownStep` for a parent that does not exist, because of which the
        submission was not stored."""
        parents = {
            parent_id: None for step in submission.steps for parent_id in parents_of(step.parents)
        }
        for step in submission.steps:
            parents.pop(step.step_id, None)
        if parents:
            known = self._session.query("statuses", step_ids=rows.encode(list(parents)))
            unknown = parents.keys() - {row[0] for row in known}
            for parent_id in parents:
                if parent_id in unknown:
                    raise UnknownStep(parent_id)

    def sees_limits(self) -> None:
        """Queues have limits from now on, as this process has set some."""
        self._sync.may_be_limited = True

    def _sees_inbox(self, request: SyncRequest) -> bool:
        return bool(request.claim) and self._sync.has_inbox_rows

    def _take_in(self, request: SyncRequest) -> bool:
        """Take in rows of the inbox. A request that was carried out does not fail because of these;
        returns whether they were taken in, by this pod or by others."""
        try:
            self._inbox.take_in(request.pod_id)
        except StoreError as error:
            log.warning("the rows of STEP_INBOX wait, since they cannot be taken in now: %s", error)
            return False
        return True

    def _exchange(
        self, request: SyncRequest, number: int, patience: float, *, is_posted: bool = False
    ) -> SyncResult | None:
        sends_heartbeat = _sends_heartbeat(request)
        joins = isinstance(request.pod_command, Join)
        answer = self._call(
            request.pod_id,
            request.incarnation,
            number,
            patience,
            is_posted=is_posted,
            sends_heartbeat=sends_heartbeat,
            progress=rows.encode(request.progress),
            transitions=transitions_json(
                None if joins else request.pod_command, allowed_statuses(request)
            ),
            joins=joins,
            own_request=request_json(request),
            routes=routes_json(request.routes),
            own_claim=request.claim,
            own_outcomes=outcomes_json(request.outcomes, request.pod_id)[1:-1],
            own_outcome_count=len(request.outcomes),
            only_claims=_only_claims(request),
            claim_token=request.claim_token,
            may_be_limited=self._sync.may_be_limited,
        )
        if len(answer[0]) == 1:
            return None
        snapshot = self._sync.snapshot(answer)
        check_version(snapshot.schema_version)
        self._sync.check(snapshot, request)
        if sends_heartbeat and snapshot.is_asleep:
            return self._sync.sync(replace(request, is_retry=True))
        others = snapshot.served - 1 if snapshot.served else None
        done = not (request.only_if_claimable and snapshot.is_asleep)
        return replace(self._sync.result(snapshot, request), served_others=others, done=done)

    def _call(
        self,
        pod_id: str,
        incarnation: str,
        number: int,
        patience: float,
        *,
        is_posted: bool,
        **values: Any,
    ) -> Rows:
        return self._session.call(
            "exchange",
            **{
                **_NOTHING,
                "pod_id": pod_id,
                "incarnation": incarnation,
                "number": number,
                "posts": True,
                "is_posted": is_posted,
                "patience": micros(patience),
                "most_bytes": steps.MAX_CLAIM_SIZE,
                "new_change_id": new_change_id(),
                **values,
            },
        )


_NOTHING: Final = {
    "sends_heartbeat": False, "progress": "[]", "transitions": None, "joins": False,
    "own_request": "", "own_claim": 0, "own_outcomes": "", "own_outcome_count": 0,
    "own_submissions": "", "only_claims": False, "claim_token": "", "may_be_limited": False,
    "routes": "{}",
}  # fmt: skip
"""Arguments of the procedure for a request that asks for nothing."""


def _is_postable(request: SyncRequest) -> bool:
    """Whether a request can wait in the mailbox: one statement takes its outcomes."""
    return len(list(batches(request.outcomes))) <= 1 and not spawning_in(request.outcomes)


def _sends_heartbeat(request: SyncRequest) -> bool:
    """Whether a heartbeat is inserted with the request, and not only if the pod gets a step."""
    return isinstance(request.pod_command, SendHeartbeat) and not request.only_if_claimable


def _only_claims(request: SyncRequest) -> bool:
    """Whether nothing is lost if the request is not posted."""
    return request.claim > 0 and not request.outcomes and not request.is_retry


def _with_more(request: SyncRequest, result: SyncResult) -> SyncResult:
    """The result after rows of the inbox have become steps."""
    return replace(result, more=result.more or len(result.claimed) < request.claim)


def _again_soon(result: SyncResult) -> SyncResult:
    """The result of a request after which rows of the inbox wait."""
    again = result.at + micros(INBOX_RETRY)
    return replace(result, next_due=min(again, result.next_due or again))
