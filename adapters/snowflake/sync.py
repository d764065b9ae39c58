"""A pod's sync: all that it wants at one moment, in as few statements as it takes.

Snowflake locks a whole table for an UPDATE until its transaction ends. So a transaction only
writes, the steps first and then the pod, and what came of it is read after its commit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from msgspec.structs import replace

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.batches import batches
from fleet_q.adapters.snowflake.calls import Calls
from fleet_q.adapters.snowflake.migrate import check_version
from fleet_q.adapters.snowflake.session import Transaction, new_change_id
from fleet_q.adapters.snowflake.sync_snapshot import SyncSnapshot, fit_statuses
from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.lifecycle import PodStatus
from fleet_q.core.pod import Join, Pod, PodCommand
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.step import Complete, Outcome


class Sync:
    """Does pods' turns. Each is tried once: a pod has a backoff of its own."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._session = calls.session

    def sync(self, request: SyncRequest) -> SyncResult:
        """Who has nothing to acknowledge looks before it claims: the lock of the steps is asked for
        only where there is something to be had."""
        some = list(batches(request.outcomes, _size))
        if len(some) > 1:
            return self._turns(request, some)
        pod_command = request.pod_command
        if isinstance(pod_command, Join):
            self._join(pod_command)
            pod_command = None
        looks_first = (
            not request.outcomes and not request.is_retry and (request.claim or pod_command is None)
        )
        snapshot = self._look(request) if looks_first else None
        is_due = snapshot is None or snapshot.is_claimable
        done = is_due or not request.only_if_claimable
        changes_steps = request.outcomes or (request.claim and is_due)
        if snapshot is None or changes_steps or (pod_command is not None and done):
            with self._session.transaction(new_change_id()) as tx:
                changed = _change_steps(tx, request) if changes_steps else 0
                done = changed > 0 or request.is_retry or not request.only_if_claimable
                if pod_command is not None and done:
                    _write_pod_status(tx, pod_command, fit_statuses(request))
            snapshot = self._look(request, tx.change_id)
            if changed and not snapshot.shows_steps_of(request):
                raise StoreUnavailable("Snowflake: a transaction was taken back before its commit")
        snapshot.check(request)
        return replace(snapshot.answer(request, self._settled(request, snapshot)), done=done)

    def _join(self, join: Join) -> None:
        """A transaction of its own, since it locks the pods' table first: others, who lock it
        while they hold that of the steps, must not meet one who does it the other way round."""
        with self._session.transaction(new_change_id()) as tx:
            tx.run("lock_submissions")
            tx.run("join_again", pod_id=join.pod_id, incarnation=join.incarnation)
            tx.run("join_first", pod_id=join.pod_id, incarnation=join.incarnation)
            tx.run("append_pod_events", by_pod_id=join.pod_id)

    def _look(self, request: SyncRequest, change_id: str = "") -> SyncSnapshot:
        """What became of the turn. Raises :class:`StoreError` if the tables have been migrated."""
        snapshot = SyncSnapshot(
            self._session.query(
                "after_sync",
                pod_id=request.pod_id,
                claim_token=request.claim_token,
                change_id=change_id,
            )
        )
        check_version(snapshot.schema_version)
        return snapshot

    def _settled(self, request: SyncRequest, snapshot: SyncSnapshot) -> set[str]:
        """The ids of successes that did not count only because they had counted before."""
        late = set(snapshot.answer(request).refused)
        successes = [o for o in request.outcomes if isinstance(o, Complete) and o.step_id in late]
        known = self._calls.steps([success.step_id for success in successes]) if successes else {}
        return {
            success.step_id
            for success in successes
            if (step := known.get(success.step_id)) is not None
            and (step.status, step.claim_token) == ("completed", success.claim_token)
        }

    def _turns(self, request: SyncRequest, some: Sequence[Sequence[Any]]) -> SyncResult:
        """A turn whose results are too large for one statement: all but the last ones first."""
        refused: list[str] = []
        for outcomes in some[:-1]:
            part = SyncRequest(
                request.pod_id,
                request.incarnation,
                outcomes=tuple(outcomes),
                is_retry=request.is_retry,
            )
            refused += self.sync(part).refused
        last = self.sync(replace(request, outcomes=tuple(some[-1])))
        return replace(last, refused=(*refused, *last.refused))


def _change_steps(tx: Transaction, request: SyncRequest) -> int:
    """How many it changed, unless Snowflake takes the transaction back: one that keeps others
    waiting and has been idle for minutes. The commit is answered then as if nothing had been."""
    changed = tx.run(
        "sync",
        pod_id=request.pod_id,
        incarnation=request.incarnation,
        claim=request.claim,
        free=request.free,
        most_bytes=steps.MAX_CLAIM_SIZE,
        claim_token=request.claim_token,
        outcomes=rows.outcomes_json(request.outcomes),
        anyway=request.pod_command is None and not request.claim,
        fit=rows.encode(fit_statuses(request)),
    )
    tx.run("append_step_events", pod_id=request.pod_id)
    return int(changed[0][0])


def _write_pod_status(tx: Transaction, pod_command: PodCommand, fit: Collection[PodStatus]) -> None:
    becomes: list[tuple[str, str, str, bool]] = []
    for status in fit:
        pod = Pod(pod_command.pod_id, status, 0, 0, pod_command.incarnation)
        change = pods.change(pod, pod_command, at=1)
        if change is not None:
            event, after = change
            kind = event.fact.type if event is not None else ""
            becomes.append((status, after.status, kind, after.last_heartbeat_ts == 1))
    tx.run(
        "pod_command",
        pod_id=pod_command.pod_id,
        incarnation=pod_command.incarnation,
        becomes=rows.encode(becomes),
    )
    tx.run("append_pod_events", by_pod_id=pod_command.pod_id)


def _size(outcome: Outcome) -> int:
    return len(outcome.result) if isinstance(outcome, Complete) else 0
