"""Deletion of steps and pods with their events."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import asdict

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls, NotAll, by_id
from fleet_q.adapters.snowflake.session import Transaction
from fleet_q.core.pod import Pod
from fleet_q.core.ports import FinalStep, Pruned


def prune_steps(calls: Calls, steps: Sequence[FinalStep], before: int, by: str | None) -> Pruned:
    """See :meth:`fleet_q.core.ports.Store.prune`.

    The events go first: nobody else locks the log. So the lock of the steps, which all wait for, is
    held for little more than one statement. If a step has changed before that, nothing is pruned,
    and the others are tried again.
    """
    pruned = Pruned(0, 0)

    def work(tx: Transaction) -> None:
        nonlocal pruned
        noted = rows.encode(steps)
        events = int(tx.run("prune_step_events", ended=noted)[0][0])
        pruned = Pruned(int(tx.run("prune_steps", ended=noted, before=before)[0][0]), events)
        changed = by_id(tx.run("steps", step_ids=rows.encode([s.step_id for s in steps])))
        if changed:
            raise NotAll(changed)
        if events:
            tx.run("note_pruned", events=events, pod_id=by)

    while steps:
        try:
            calls.write(work)
            return pruned
        except NotAll as not_all:
            steps = [step for step in steps if step.step_id not in not_all.ids]
    return Pruned(0, 0)


def prune_pod(calls: Calls, pod: Pod) -> Pruned:
    """See :meth:`fleet_q.core.ports.Store.prune_pod`."""
    pruned = Pruned(0, 0)

    def work(tx: Transaction) -> None:
        nonlocal pruned
        events = int(tx.run("prune_pod_events", pod_id=pod.pod_id)[0][0])
        gone = int(tx.run("prune_pod", **asdict(pod))[0][0])
        if events and not gone:
            raise NotAll([pod.pod_id])
        pruned = Pruned(gone, events)

    with suppress(NotAll):
        calls.write(work)
    return pruned
