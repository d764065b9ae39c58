"""Deletes final steps and pods with their events."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import asdict

from fleet_q.adapters import rows
from fleet_q.adapters.snowflake.calls import Calls
from fleet_q.core.pod import Pod
from fleet_q.core.ports import FinalStep, Pruned


def prune_steps(calls: Calls, steps: Sequence[FinalStep], before: int, by: str | None) -> Pruned:
    """See :meth:`fleet_q.core.ports.Store.prune`. If the answer is lost, the steps that do not
    exist any more are counted."""
    if not steps:
        return Pruned(0, 0)
    counts = calls.write("prune_steps", ended=rows.encode(steps), before=before, pod_id=by)
    if counts is None:
        kept = calls.steps([step.step_id for step in steps])
        gone = [step for step in steps if step.step_id not in kept]
        return Pruned(len(gone), sum(step.version for step in gone))
    return Pruned(*map(int, counts[0]))


def prune_pod(calls: Calls, pod: Pod) -> Pruned:
    """See :meth:`fleet_q.core.ports.Store.prune_pod`."""
    values = asdict(pod)
    names = ("pod_id", "incarnation", "version", "last_heartbeat_ts")
    counts = calls.write("prune_pod", **{name: values[name] for name in names})
    return Pruned(*map(int, counts[0])) if counts is not None else Pruned(0, 0)
