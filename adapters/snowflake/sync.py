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
from fleet_q.core.pod import Join, Pod, Presence
from fleet_q.core.ports import Answer, Turn
from fleet_q.core.step import Complete, Outcome


class Sync:
    """Does pods' turns. Each is tried once: a pod has a backoff of its own."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._session = calls.session

    def turn(self, turn: Turn) -> Answer:
        """Who has nothing to acknowledge looks before it claims: the lock of the steps is asked for
        only where there is something to be had."""
        some = list(batches(turn.outcomes, _size))
        if len(some) > 1:
            return self._turns(turn, some)
        presence = turn.presence
        if isinstance(presence, Join):
            self._join(presence)
            presence = None
        looks_first = not turn.outcomes and not turn.again and (turn.claim or presence is None)
        snapshot = self._look(turn) if looks_first else None
        is_due = snapshot is None or snapshot.is_claimable
        done = is_due or not turn.if_due
        changes_steps = turn.outcomes or (turn.claim and is_due)
        if snapshot is None or changes_steps or (presence is not None and done):
            with self._session.transaction(new_change_id()) as tx:
                changed = _change_steps(tx, turn) if changes_steps else 0
                done = changed > 0 or turn.again or not turn.if_due
                if presence is not None and done:
                    _write_pod_status(tx, presence, fit_statuses(turn))
            snapshot = self._look(turn, tx.change_id)
            if changed and not snapshot.shows_steps_of(turn):
                raise StoreUnavailable("Snowflake: a transaction was taken back before its commit")
        snapshot.check(turn)
        return replace(snapshot.answer(turn, self._settled(turn, snapshot)), done=done)

    def _join(self, join: Join) -> None:
        """A transaction of its own, since it locks the pods' table first: others, who lock it
        while they hold that of the steps, must not meet one who does it the other way round."""
        with self._session.transaction(new_change_id()) as tx:
            tx.run("take_turns")
            tx.run("join_again", pod_id=join.pod_id, incarnation=join.incarnation)
            tx.run("join_first", pod_id=join.pod_id, incarnation=join.incarnation)
            tx.run("append_pod_events", by_pod_id=join.pod_id)

    def _look(self, turn: Turn, change_id: str = "") -> SyncSnapshot:
        """What became of the turn. Raises :class:`StoreError` if the tables have been migrated."""
        snapshot = SyncSnapshot(
            self._session.query(
                "after_turn",
                pod_id=turn.pod_id,
                claim_token=turn.claim_token,
                change_id=change_id,
            )
        )
        check_version(snapshot.schema_version)
        return snapshot

    def _settled(self, turn: Turn, snapshot: SyncSnapshot) -> set[str]:
        """The ids of successes that did not count only because they had counted before."""
        late = set(snapshot.answer(turn).refused)
        successes = [o for o in turn.outcomes if isinstance(o, Complete) and o.step_id in late]
        known = self._calls.steps([success.step_id for success in successes]) if successes else {}
        return {
            success.step_id
            for success in successes
            if (step := known.get(success.step_id)) is not None
            and (step.status, step.claim_token) == ("completed", success.claim_token)
        }

    def _turns(self, turn: Turn, some: Sequence[Sequence[Any]]) -> Answer:
        """A turn whose results are too large for one statement: all but the last ones first."""
        refused: list[str] = []
        for outcomes in some[:-1]:
            part = Turn(turn.pod_id, turn.incarnation, outcomes=tuple(outcomes), again=turn.again)
            refused += self.turn(part).refused
        last = self.turn(replace(turn, outcomes=tuple(some[-1])))
        return replace(last, refused=(*refused, *last.refused))


def _change_steps(tx: Transaction, turn: Turn) -> int:
    """How many it changed, unless Snowflake takes the transaction back: one that keeps others
    waiting and has been idle for minutes. The commit is answered then as if nothing had been."""
    changed = tx.run(
        "turn",
        pod_id=turn.pod_id,
        incarnation=turn.incarnation,
        claim=turn.claim,
        free=turn.free,
        most_bytes=steps.MOST_CLAIMED_BYTES,
        claim_token=turn.claim_token,
        outcomes=rows.outcomes_json(turn.outcomes),
        anyway=turn.presence is None and not turn.claim,
        fit=rows.encode(fit_statuses(turn)),
    )
    tx.run("append_step_events", pod_id=turn.pod_id)
    return int(changed[0][0])


def _write_pod_status(tx: Transaction, presence: Presence, fit: Collection[PodStatus]) -> None:
    becomes: list[tuple[str, str, str, bool]] = []
    for status in fit:
        pod = Pod(presence.pod_id, status, 0, 0, presence.incarnation)
        change = pods.change(pod, presence, at=1)
        if change is not None:
            event, after = change
            kind = event.fact.type if event is not None else ""
            becomes.append((status, after.status, kind, after.last_heartbeat_ts == 1))
    tx.run(
        "presence",
        pod_id=presence.pod_id,
        incarnation=presence.incarnation,
        becomes=rows.encode(becomes),
    )
    tx.run("append_pod_events", by_pod_id=presence.pod_id)


def _size(outcome: Outcome) -> int:
    return len(outcome.result) if isinstance(outcome, Complete) else 0
