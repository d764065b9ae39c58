"""A pod's sync, in as few statements as possible.

An UPDATE locks a whole table until its transaction ends. So the transaction only writes, first the
steps and then the pod, and its results are read after the commit.
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
from fleet_q.adapters.snowflake.sync_snapshot import SyncSnapshot, allowed_statuses
from fleet_q.core import pod as pods
from fleet_q.core import step as steps
from fleet_q.core.errors import StoreUnavailable
from fleet_q.core.lifecycle import PodStatus
from fleet_q.core.pod import Join, Pod, PodCommand
from fleet_q.core.ports import SyncRequest, SyncResult
from fleet_q.core.step import Complete, Outcome


class Sync:
    """Carries out sync requests. Each is tried once, as pods have their own backoff."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._session = calls.session

    def sync(self, request: SyncRequest) -> SyncResult:
        """See :meth:`fleet_q.core.ports.Store.sync`. A request without outcomes reads the tables
        first, and locks the steps' table only if there are claimable steps."""
        outcome_batches = list(batches(request.outcomes, _size))
        if len(outcome_batches) > 1:
            return self._sync_batches(request, outcome_batches)
        pod_command = request.pod_command
        if isinstance(pod_command, Join):
            self._join(pod_command)
            pod_command = None
        reads_first = (
            not request.outcomes and not request.is_retry and (request.claim or pod_command is None)
        )
        snapshot = self._read_snapshot(request) if reads_first else None
        is_due = snapshot is None or snapshot.is_claimable
        done = is_due or not request.only_if_claimable
        changes_steps = request.outcomes or (request.claim and is_due)
        if snapshot is None or changes_steps or (pod_command is not None and done):
            with self._session.transaction(new_change_id()) as tx:
                changed = _change_steps(tx, request) if changes_steps else 0
                done = changed > 0 or request.is_retry or not request.only_if_claimable
                if pod_command is not None and done:
                    _write_pod_status(tx, pod_command, allowed_statuses(request))
            snapshot = self._read_snapshot(request, tx.change_id)
            if changed and not snapshot.shows_steps_of(request):
                raise StoreUnavailable("Snowflake: a transaction was rolled back before its commit")
        snapshot.check(request)
        result = snapshot.result(request)
        already_completed = self._already_completed(request, result)
        refused = tuple(i for i in result.refused if i not in already_completed)
        return replace(result, refused=refused, done=done)

    def _join(self, join: Join) -> None:
        """Join in a separate transaction. It locks the pods' table; in one transaction with the
        claim the tables would be locked in the opposite order, which could deadlock with other
        pods."""
        with self._session.transaction(new_change_id()) as tx:
            tx.run("lock_submissions")
            tx.run("join_again", pod_id=join.pod_id, incarnation=join.incarnation)
            tx.run("join_first", pod_id=join.pod_id, incarnation=join.incarnation)
            tx.run("append_pod_events", by_pod_id=join.pod_id)

    def _read_snapshot(self, request: SyncRequest, change_id: str = "") -> SyncSnapshot:
        """Read the state after the sync. Raises :class:`StoreError` if the tables have been
        migrated."""
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

    def _already_completed(self, request: SyncRequest, result: SyncResult) -> set[str]:
        """The ids of steps whose success was rejected because it had been recorded before."""
        rejected = set(result.refused)
        successes = [
            o for o in request.outcomes if isinstance(o, Complete) and o.step_id in rejected
        ]
        current = self._calls.steps([success.step_id for success in successes]) if successes else {}
        return {
            success.step_id
            for success in successes
            if (step := current.get(success.step_id)) is not None
            and step.is_completed_under(success.claim_token)
        }

    def _sync_batches(self, request: SyncRequest, batches: Sequence[Sequence[Any]]) -> SyncResult:
        """Sync with results that are too large for one statement: one sync for each batch of
        outcomes, of which the last has the rest of the request."""
        refused: list[str] = []
        for outcomes in batches[:-1]:
            part = SyncRequest(
                request.pod_id,
                request.incarnation,
                outcomes=tuple(outcomes),
                is_retry=request.is_retry,
            )
            refused += self.sync(part).refused
        last = self.sync(replace(request, outcomes=tuple(batches[-1])))
        return replace(last, refused=(*refused, *last.refused))


def _change_steps(tx: Transaction, request: SyncRequest) -> int:
    """Claim and acknowledge; return the number of changed steps. That is valid only if the
    transaction is committed: Snowflake may roll back one that others wait for, and COMMIT then
    raises no error."""
    changed = tx.run(
        "sync",
        pod_id=request.pod_id,
        incarnation=request.incarnation,
        claim=request.claim,
        free=request.free,
        most_bytes=steps.MAX_CLAIM_SIZE,
        claim_token=request.claim_token,
        outcomes=rows.outcomes_json(request.outcomes),
        skip_pod_check=request.pod_command is None and not request.claim,
        allowed_statuses=rows.encode(allowed_statuses(request)),
    )
    tx.run("append_step_events", pod_id=request.pod_id)
    return int(changed[0][0])


def _write_pod_status(
    tx: Transaction, pod_command: PodCommand, statuses: Collection[PodStatus]
) -> None:
    transitions: list[tuple[str, str, str, bool]] = []
    for status in statuses:
        pod = Pod(pod_command.pod_id, status, 0, 0, pod_command.incarnation)
        change = pods.change(pod, pod_command, at=1)
        if change is not None:
            event, after = change
            kind = event.fact.type if event is not None else ""
            transitions.append((status, after.status, kind, after.last_heartbeat_ts == 1))
    tx.run(
        "pod_command",
        pod_id=pod_command.pod_id,
        incarnation=pod_command.incarnation,
        transitions=rows.encode(transitions),
    )
    tx.run("append_pod_events", by_pod_id=pod_command.pod_id)


def _size(outcome: Outcome) -> int:
    return len(outcome.result) if isinstance(outcome, Complete) else 0
