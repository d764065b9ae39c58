"""Deletes final steps and pods with their events."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import asdict

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls, Unchangeable, by_id
from fleet_q.adapters.snowflake.session import Transaction
from fleet_q.core.pod import Pod
from fleet_q.core.ports import FinalStep, Pruned


def prune_steps(calls: Calls, steps: Sequence[FinalStep], before: int, by: str | None) -> Pruned:
    """See :meth:`fleet_q.core.ports.Store.prune`.

    The events are deleted first, as no other statement locks their table, so that the lock of the
    steps' table is held for little more than one statement. If a step has changed, the transaction
    is rolled back and retried without it.
    """
    pruned = Pruned(0, 0)

    def work(tx: Transaction) -> None:
        nonlocal pruned
        encoded = rows.encode(steps)
        events = int(tx.run("prune_step_events", ended=encoded)[0][0])
        pruned = Pruned(int(tx.run("prune_steps", ended=encoded, before=before)[0][0]), events)
        changed = by_id(tx.run("steps", step_ids=rows.encode([s.step_id for s in steps])))
        if changed:
            raise Unchangeable(changed)
        if events:
            tx.run("note_pruned", events=events, pod_id=by)

    while steps:
        try:
            calls.write(work)
            return pruned
        except Unchangeable as unchangeable:
            steps = [step for step in steps if step.step_id not in unchangeable.ids]
    return Pruned(0, 0)


def prune_pod(calls: Calls, pod: Pod) -> Pruned:
    """See :meth:`fleet_q.core.ports.Store.prune_pod`."""
    pruned = Pruned(0, 0)

    def work(tx: Transaction) -> None:
        nonlocal pruned
        events = int(tx.run("prune_pod_events", pod_id=pod.pod_id)[0][0])
        deleted = int(tx.run("prune_pod", **asdict(pod))[0][0])
        if events and not deleted:
            raise Unchangeable([pod.pod_id])
        pruned = Pruned(deleted, events)

    with suppress(Unchangeable):
        calls.write(work)
    return pruned
